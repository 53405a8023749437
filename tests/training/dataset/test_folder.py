"""Datasets: the same behaviors give the same folder, and damage never goes unseen."""

import json
import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.synthetic import make_behavior

from drr_agent.errors import ConfigError, DataError
from drr_agent.lines import hold
from drr_agent.training.behaviors import SPLITS, assign_split
from drr_agent.training.dataset import DEFAULT_FRACTIONS, load_dataset, require_both_classes
from drr_agent.training.dataset.manifest import FileRecord
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.drops import Drop
from drr_agent.training.harvest import harvest_dataset


def behavior(number=0, **changes):
    record = {
        "id": f"r{number}:1",
        "run_id": f"r{number}",
        "rationale": f"é\n\t🙂 {number}",
        "label": "correct" if number % 3 else "incorrect",
        "draw": number % 2,
        "signals": {"logprob_mean": -0.5, "truncated": None},
        "logprobs": [-0.25, -0.75],
        "spans": [None, 0],
        "input_tokens": None,
        "output_tokens": 5,
        "reasoner": "pocket",
    }
    return make_behavior(f"What is {number // 2} + 1?", **{**record, **changes})


def rows_by_id(dataset):
    return {row["id"]: row for row in dataset.all()}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def test_what_is_written_is_read(folder):
    rows = [behavior(number) for number in range(60)]
    write_dataset(rows, folder)
    dataset = load_dataset(folder)
    dataset.verify()
    assert rows_by_id(dataset) == {row["id"]: row for row in rows}
    for split in SPLITS:
        assert {assign_split(row["question_key"], dict(DEFAULT_FRACTIONS)) for row in dataset.rows(split)} <= {split}


def test_only_answered_and_labelled_rows_teach(folder):
    rows = [behavior(1), behavior(2, answer=None, label=None), behavior(3, label=None), behavior(4)]
    dataset = write_dataset(rows, folder, fractions={"test": 1.0})
    assert sorted(row["id"] for row in dataset.labelled("test")) == ["r1:1", "r4:1"]
    assert dataset.labelled("train") == []


def test_the_manifest_counts(folder):
    rows = [behavior(n, reasoner="a" if n < 4 else "b", label=None if n == 5 else "correct") for n in range(6)]
    manifest = write_dataset(rows, folder, fractions={"train": 1.0}).manifest
    train = manifest.splits["train"]
    assert (train.rows, train.questions, train.correct, train.incorrect, train.unlabeled) == (6, 3, 5, 0, 1)
    assert train.balance == 1.0
    assert manifest.splits["test"].balance is None
    assert manifest.reasoners == {"a": 4, "b": 2}
    assert manifest.datasets == {"none": 6}


def test_files_are_plain_parquet(folder):
    dataset = write_dataset([behavior(n) for n in range(9)], folder)
    tables = [pq.read_table(folder / dataset.manifest.files[split].name) for split in SPLITS]
    assert sum(table.num_rows for table in tables) == 9
    assert len({table.schema for table in tables}) == 1


@settings(max_examples=20)
@given(st.permutations(range(12)), st.integers(0, 12))
def test_order_and_number_of_harvests_do_not_matter(tmp_path_factory, order, cut):
    root = tmp_path_factory.mktemp("datasets")
    write_dataset([behavior(number) for number in range(12)], root / "whole")
    parts = [behavior(number) for number in order]
    for part in (parts[:cut], parts[cut:], parts):
        if part:
            write_dataset(part, root / "grown")
    assert contents(root / "grown") == contents(root / "whole")


def test_a_dataset_of_before_spans_is_read_and_grows(folder):
    dataset = write_dataset([behavior(1)], folder, fractions={"train": 1.0})
    for record in dataset.manifest.files.values():
        pq.write_table(pq.read_table(folder / record.name).drop_columns("spans"), folder / record.name)
    files = {split: FileRecord.of(split, folder / record.name) for split, record in dataset.manifest.files.items()}
    for split, record in files.items():
        (folder / dataset.manifest.files[split].name).rename(folder / record.name)
    old = dataset.manifest.model_copy(update={"files": files})
    (folder / "manifest.json").write_text(old.model_dump_json())
    assert rows_by_id(load_dataset(folder)) == {"r1:1": behavior(1, spans=None)}
    assert write_dataset([behavior(1)], folder).digest == dataset.digest
    assert rows_by_id(load_dataset(folder)) == {"r1:1": behavior(1)}


def test_growing_adds_only_what_is_new(folder):
    assert write_dataset([behavior(0), behavior(1)], folder).added == 2
    grown = write_dataset([behavior(1), behavior(2)], folder)
    assert grown.added == 1
    assert sorted(rows_by_id(load_dataset(folder))) == ["r0:1", "r1:1", "r2:1"]
    assert len(list(folder.glob("*.parquet"))) == len(SPLITS)


@pytest.mark.parametrize(
    ("old", "new", "held"),
    [
        pytest.param("correct", "incorrect", "incorrect", id="the-later-label-wins"),
        pytest.param(None, "correct", "correct", id="a-label-fills-a-gap"),
        pytest.param("correct", None, "correct", id="no-label-takes-none-away"),
    ],
)
def test_a_row_that_comes_again(folder, old, new, held):
    before = write_dataset([behavior(1, label=old)], folder).digest
    after = write_dataset([behavior(1, label=new)], folder)
    assert rows_by_id(after)["r1:1"]["label"] == held
    assert (after.digest == before) == (held == old)


def harvested(tmp_path, *lines):
    log = tmp_path / "rows.jsonl"
    log.write_text("\n".join(lines))
    return harvest_dataset([log], tmp_path / "data")[0]


def test_rejects_follow_the_newest_harvest_of_a_file(tmp_path):
    whole = '{"question": "q", "answer": "1", "draw": 0}'
    harvested(tmp_path, whole, '{"question": "q", "answ')
    dataset = harvested(tmp_path, whole, whole.replace("0", "1"), '{"question": null}', whole)
    rejects = [json.loads(line) for line in (dataset.path / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["place"], reject["reason"]) for reject in rejects] == [
        ("line 3", "no question"),
        ("line 4", "duplicate"),
    ]
    [source] = dataset.manifest.sources
    assert source.dropped == {"no question": 1, "duplicate": 1}
    assert {reject["harvest"] for reject in rejects} == {source.key}


@pytest.mark.parametrize(
    "line",
    [b'{"harvest": "x", "pla', b"\xff", b"[1]", b"{}", b"[" * 99_999],
    ids=["torn", "bytes", "list", "{}", "deep"],
)
def test_a_damaged_reject_is_dropped_and_the_others_stay(tmp_path, line):
    harvested(tmp_path, '{"question": "q", "answer": "1"}', '{"question": null}')
    rejects = tmp_path / "data" / "rejects.jsonl"
    held = rejects.read_bytes()
    rejects.write_bytes(line + b"\n" + held)
    write_dataset([behavior(1)], tmp_path / "data")
    assert rejects.read_bytes() == held


def test_what_killed_commits_left_is_removed_and_nothing_else(folder):
    (folder.parent / ".data-k3_9xq0a" / "dataset").mkdir(parents=True)
    for other in (".data-k3_9xq0b/thesis", ".data-backup", ".other-k3_9xq0a/dataset"):
        (folder.parent / other).mkdir(parents=True)
    write_dataset([behavior(1)], folder)
    left = {path.name for path in folder.parent.iterdir()}
    assert left - {"data.lock"} == {"data", ".data-k3_9xq0b", ".data-backup", ".other-k3_9xq0a"}


def test_one_folder_takes_one_harvest_at_a_time(folder):
    with hold(folder, by="the test"), pytest.raises(DataError, match="but another harvest holds it; wait for it"):
        write_dataset([behavior(1)], folder)
    assert write_dataset([behavior(1)], folder).added == 1


def test_harvests_side_by_side_lose_no_row(folder):
    def add(number):
        while True:
            try:
                return write_dataset([behavior(number)], folder).added
            except DataError as error:
                if "another harvest" not in str(error):
                    raise

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(add, range(12))) == [1] * 12
    assert len(load_dataset(folder).all()) == 12


def test_a_source_record_that_does_not_add_up_is_refused(tmp_path):
    [source] = harvested(tmp_path, '{"question": "q", "answer": "1"}').manifest.sources
    with pytest.raises(ValueError, match="2 attempts read, but 0 filtered, 1 kept"):
        type(source).model_validate({**source.model_dump(), "read": 2})


def damage_bytes(folder):
    file = next(folder.glob("train-*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove_file(folder):
    next(folder.glob("train-*.parquet")).unlink()


def edit_manifest(**changes):
    def edit(folder):
        file = folder / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        pytest.param(damage_bytes, "got other content", id="damaged-parquet"),
        pytest.param(remove_file, "got no such file", id="missing-parquet"),
        pytest.param(edit_manifest(digest="0" * 12), "expected `digest`", id="other-digest"),
        pytest.param(edit_manifest(reasoners={"pocket": 1}), "expected `reasoners`", id="other-counts"),
        pytest.param(edit_manifest(fractions={"train": 0.1, "test": 0.9}), "every row", id="other-splits"),
        pytest.param(edit_manifest(schema_version=1), "dataset of schema 2 .* got 1", id="other-schema"),
        pytest.param(edit_manifest(surprise=1), "whole manifest", id="unknown-field"),
        pytest.param(lambda folder: (folder / "manifest.json").write_text("{"), "whole manifest", id="torn-manifest"),
        pytest.param(lambda folder: (folder / "manifest.json").write_text("[]"), "got None", id="no-manifest-at-all"),
        pytest.param(lambda folder: (folder / "manifest.json").unlink(), "no manifest.json in it", id="no-dataset"),
        pytest.param(lambda folder: folder.rename(folder.with_name("away")), "no such folder", id="no-folder"),
    ],
)  # fmt: skip
def test_damage_is_named(folder, harm, message):
    write_dataset([behavior(number) for number in range(60)], folder)
    harm(folder)
    with pytest.raises(DataError, match=message):
        load_dataset(folder).verify()


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        pytest.param({"train": 0.5}, "sum to 1", id="too-little"),
        pytest.param({"train": 1.5, "test": -0.5}, "sum to 1", id="negative"),
        pytest.param({"train": 0.5, "dev": 0.5}, "'dev'", id="no-such-split"),
        pytest.param({"train": float("nan")}, "nan", id="not-a-number"),
    ],
)
def test_fractions_that_cannot_be_are_refused(folder, fractions, message):
    with pytest.raises(ConfigError, match=message):
        write_dataset([behavior()], folder, fractions=fractions)
    assert not folder.exists()


def test_a_dataset_keeps_its_fractions(folder):
    write_dataset([behavior(0)], folder, fractions={"train": 0.5, "test": 0.5})
    with pytest.raises(ConfigError, match="was split by"):
        write_dataset([behavior(1)], folder, fractions=DEFAULT_FRACTIONS)
    assert write_dataset([behavior(1)], folder).manifest.fractions["test"] == 0.5


@pytest.mark.parametrize("kind", [pytest.param("folder", id="folder-of-others"), pytest.param("file", id="file")])
def test_what_is_no_dataset_is_not_written_over(folder, kind):
    if kind == "folder":
        folder.mkdir()
        (folder / "thesis.txt").write_text("mine")
    else:
        folder.write_text("mine")
    with pytest.raises(DataError, match="found other files"):
        write_dataset([behavior()], folder)
    assert (folder / "thesis.txt" if kind == "folder" else folder).read_text() == "mine"


def test_no_behaviors_are_refused(folder):
    with pytest.raises(DataError, match="got none"):
        write_dataset([], folder, drops=[Drop("f", "line 1", "unreadable", "")])
    assert not folder.exists()


@pytest.mark.parametrize("labels", [pytest.param([], id="none"), pytest.param(["correct"], id="one")])
def test_one_class_is_refused(labels):
    with pytest.raises(DataError, match=f"in train, got {len(labels)} correct and 0 incorrect of {len(labels)} rows"):
        require_both_classes([behavior(label=label) for label in labels], what="train")


def test_both_classes_pass():
    require_both_classes([behavior(label="correct"), behavior(label="incorrect")])


KILLED_WRITE = """
    import os, sys
    from pathlib import Path
    sys.path[:0] = [sys.argv[2], os.path.dirname(os.path.dirname(sys.argv[2]))]
    from test_folder import behavior
    from drr_agent.training.dataset.writer import write_dataset

    left = int(sys.argv[3])
    replace = Path.replace
    def killed(self, target):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return replace(self, target)
    Path.replace = killed
    write_dataset([behavior(number) for number in range(40, 80)], Path(sys.argv[1]))
"""


@pytest.mark.parametrize("steps", [pytest.param(steps, id=f"after-{steps}-files") for steps in range(8)])
def test_a_killed_merge_leaves_the_old_dataset_whole(folder, steps):
    news = [behavior(number) for number in range(40, 80)]
    old = write_dataset(
        [behavior(number) for number in range(40)], folder, drops=[Drop("f", "line 1", "bad value", "")]
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    script = textwrap.dedent(KILLED_WRITE)
    done = subprocess.run([sys.executable, "-c", script, str(folder), here, str(steps)], check=False)
    assert done.returncode == 9
    held = load_dataset(folder)
    held.verify()
    assert held.digest == old.digest
    renewed = write_dataset(news, folder)
    renewed.verify()
    assert renewed.added == (0 if steps else 40), "what was whole on the disk is put in place"
    assert renewed.manifest.count == 80
    assert sorted(file.suffix for file in folder.iterdir()) == [".json", ".jsonl", ".md", *[".parquet"] * 4]


def test_a_killed_first_harvest_into_a_folder_that_is_there(folder):
    folder.mkdir()
    here = os.path.dirname(__file__)  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED_WRITE), str(folder), here, "4"], check=False)
    assert done.returncode == 9
    assert write_dataset([behavior(1)], folder).manifest.count == 41
    load_dataset(folder).verify()


def test_files_of_others_stay(folder):
    write_dataset([behavior(1)], folder)
    for name in ("notes.parquet", "train-of-thought.parquet"):
        (folder / name).write_text("mine")
    (folder / ".writing-0a1b2c3d" / "dataset").mkdir(parents=True)
    write_dataset([behavior(2)], folder)
    assert {"notes.parquet", "train-of-thought.parquet"} < {file.name for file in folder.iterdir()}
    assert not (folder / ".writing-0a1b2c3d").exists()


def test_a_dataset_is_its_owners_alone(folder):
    write_dataset([behavior(1)], folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
