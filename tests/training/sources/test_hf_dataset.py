"""Folders that `datasets` saved, read without it."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drr_agent.errors import DamagedError, DataError
from drr_agent.training.sources.hf_dataset import DatasetRow, hf_columns, is_hf_dataset, read_hf_dataset

VERDICT = datasets.ClassLabel(names=["incorrect", "correct"])


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def make(rows: int = 5, first: int = 0) -> datasets.Dataset:
    questions = [f"{number}+1?" for number in range(first, first + rows)]
    labels = [number % 2 for number in range(first, first + rows)]
    return datasets.Dataset.from_dict(
        {"question": questions, "label": labels},
        features=datasets.Features({"question": datasets.Value("string"), "label": VERDICT}),
    )


def save(held: Any, path: Path, **options: Any) -> Path:
    held.save_to_disk(path, **options)
    return path


def test_a_dataset_is_read_with_the_names_of_its_classes(tmp_path: Path):
    path = save(make(3), tmp_path / "saved")
    assert is_hf_dataset(path)
    assert list(read_hf_dataset(path)) == [
        DatasetRow(1, {"question": "0+1?", "label": "incorrect"}, "row 1"),
        DatasetRow(2, {"question": "1+1?", "label": "correct"}, "row 2"),
        DatasetRow(3, {"question": "2+1?", "label": "incorrect"}, "row 3"),
    ]


def test_splits_are_read_in_their_order_and_named(tmp_path: Path):
    path = save(datasets.DatasetDict({"train": make(2), "test": make(1, first=7)}), tmp_path / "saved")
    assert is_hf_dataset(path)
    assert is_hf_dataset(path / "test")
    rows = list(read_hf_dataset(path))
    assert [row.place for row in rows] == ["split train row 1", "split train row 2", "split test row 1"]
    assert [row.line for row in rows] == [1, 2, 3]
    assert rows[2].cells["question"] == "7+1?"


def test_shards_are_read_in_the_order_of_the_state(tmp_path: Path):
    path = save(make(10), tmp_path / "saved", num_shards=3)
    assert len(list(path.glob("*.arrow"))) == 3
    assert [row.cells["question"] for row in read_hf_dataset(path)] == [f"{number}+1?" for number in range(10)]
    state = json.loads((path / "state.json").read_text())
    state["_data_files"].reverse()
    (path / "state.json").write_text(json.dumps(state))
    assert next(read_hf_dataset(path)).cells["question"] == "7+1?"


def test_what_was_selected_is_what_is_read(tmp_path: Path):
    path = save(make(10).shuffle(seed=1).select([5, 1, 3]), tmp_path / "saved")
    expected = make(10).shuffle(seed=1).select([5, 1, 3])["question"]
    assert [row.cells["question"] for row in read_hf_dataset(path)] == list(expected)


def test_many_rows_are_read_as_datasets_reads_them(tmp_path: Path):
    path = save(make(2_500), tmp_path / "saved")
    assert [row.cells["question"] for row in read_hf_dataset(path)] == datasets.load_from_disk(path)["question"][:]


CELLS: dict[str, tuple[Any, Any, Any]] = {
    "a class that is not known": (VERDICT, -1, None),
    "no class": (VERDICT, None, None),
    "a list of classes": (datasets.List(VERDICT), [1, 0], ["correct", "incorrect"]),
    "a class in a record": (
        {"verdict": VERDICT, "n": datasets.Value("int64")},
        {"verdict": 1, "n": 1},
        {"verdict": "correct", "n": 1},
    ),
    "classes in records in a list": ([{"verdict": VERDICT}], [{"verdict": 1}], [{"verdict": "correct"}]),
    "messages": ([{"role": datasets.Value("string")}], [{"role": "user"}], [{"role": "user"}]),
    "a time": (datasets.Value("timestamp[ms]"), datetime(2026, 1, 1), datetime(2026, 1, 1)),
    "numbers": (datasets.List(datasets.Value("float64")), [0.5], [0.5]),
}


@pytest.mark.parametrize(("feature", "value", "expected"), CELLS.values(), ids=CELLS.keys())
def test_cells_are_plain_values(tmp_path: Path, feature: Any, value: Any, expected: Any):
    held = datasets.Dataset.from_dict({"cell": [value]}, features=datasets.Features({"cell": feature}))
    (row,) = read_hf_dataset(save(held, tmp_path / "saved"))
    assert row.cells == {"cell": expected}


def test_an_empty_dataset_has_no_rows(tmp_path: Path):
    assert list(read_hf_dataset(save(datasets.Dataset.from_dict({}), tmp_path / "saved"))) == []


def test_other_folders_are_none(tmp_path: Path):
    (tmp_path / "state.json").write_text("{}")
    assert not is_hf_dataset(tmp_path)
    assert not is_hf_dataset(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"expected a folder that `datasets` saved"):
        list(read_hf_dataset(tmp_path))


DAMAGE: dict[str, tuple[str, str]] = {
    "no JSON": ("state.json", "{"),
    "no object": ("state.json", "[]"),
    "no files": ("state.json", "{}"),
    "a file that is elsewhere": ("state.json", '{"_data_files": [{"filename": "../other.arrow"}]}'),
    "a file without a name": ("state.json", '{"_data_files": [7]}'),
    "a file that is not there": ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}'),
    "broken information": ("dataset_info.json", "{"),
    "splits that are none": ("dataset_dict.json", '{"splits": 3}'),
    "a split that is elsewhere": ("dataset_dict.json", '{"splits": ["../../etc"]}'),
    "a split that is not there": ("dataset_dict.json", '{"splits": ["train"]}'),
}


@pytest.mark.parametrize(("name", "text"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_folder_is_an_error_that_names_it(tmp_path: Path, name: str, text: str):
    path = save(make(), tmp_path / "saved")
    (path / name).write_text(text)
    with pytest.raises(DamagedError, match=str(path)):
        list(read_hf_dataset(path))


def test_classes_without_information_stay_numbers(tmp_path: Path):
    path = save(make(1), tmp_path / "saved")
    (path / "dataset_info.json").write_text("{}")
    assert [row.cells["label"] for row in read_hf_dataset(path)] == [0]


def test_columns_are_known_without_a_row_that_can_be_read(tmp_path: Path):
    path = save(datasets.DatasetDict({"train": make(2), "test": make(1)}), tmp_path / "saved")
    for file in path.rglob("*.arrow"):
        file.write_bytes(b"")
    assert hf_columns(path) == ["question", "label"]


def test_columns_that_the_folder_does_not_tell_are_those_of_its_first_row(tmp_path: Path):
    path = save(make(1), tmp_path / "saved")
    (path / "dataset_info.json").write_text("{}")
    assert hf_columns(path) == ["question", "label"]


def test_the_rows_before_the_damage_are_given(tmp_path: Path):
    path = save(make(10), tmp_path / "saved", num_shards=2)
    sorted(path.glob("*.arrow"))[1].write_bytes(b"")
    rows = read_hf_dataset(path)
    assert [next(rows).line for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(DamagedError):
        next(rows)


def test_a_file_cut_off_anywhere_is_an_error(tmp_path: Path):
    path = save(make(), tmp_path / "saved")
    (file,) = path.glob("*.arrow")
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match="expected a whole Arrow file"):
            list(read_hf_dataset(path))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_changed_bytes_are_an_error_or_no_more_rows_than_there_were(tmp_path: Path, changes: list[tuple[int, int]]):
    path = tmp_path / "saved"
    if not path.exists():
        save(make(), path)
        (tmp_path / "whole").write_bytes(next(path.glob("*.arrow")).read_bytes())
    changed = bytearray((tmp_path / "whole").read_bytes())
    for at, byte in changes:
        changed[at % len(changed)] = byte
    next(path.glob("*.arrow")).write_bytes(changed)
    try:
        rows = list(read_hf_dataset(path))
    except DataError:
        return
    assert len(rows) <= 5


def test_reading_needs_no_datasets(tmp_path: Path):
    path = save(make(3), tmp_path / "saved")
    program = (
        "import sys; from pathlib import Path; from drr_agent.training.sources.hf_dataset import read_hf_dataset\n"
        "before = 'datasets' in sys.modules; rows = list(read_hf_dataset(Path(sys.argv[1])))\n"
        "sys.exit(before != ('datasets' in sys.modules) or len(rows) != 3)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 0
