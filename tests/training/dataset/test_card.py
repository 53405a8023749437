"""The card of a dataset: every figure in it is the manifest's, and Hugging Face loads the files by it."""

import json
import re

import pytest
from training.synthetic import make_behavior

from drr_agent.training.behaviors import SPLITS
from drr_agent.training.dataset.card import dataset_card
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.labels import LABEL_ORDER
from drr_agent.training.redaction import Redaction


def row(number, **changes):
    record = {"id": f"r{number}", "run_id": f"r{number}", "rationale": str(number), "turn": 1 + number % 2}
    return make_behavior(f"What is {number // 2} + 1?", **{**record, **changes})


def said(value, source):
    return {"value": value, "source": source, "at": None}


@pytest.fixture
def card(tmp_path):
    """The card of a dataset of some rows, as it stands in the folder."""

    def make(*rows, **settings):
        dataset = write_dataset(rows, tmp_path / "data", **settings)
        text = (dataset.path / "README.md").read_text(encoding="utf-8")
        assert text == dataset_card(dataset.manifest)
        return text

    return make


def table_of(text, head):
    """The cells of the table whose first column has this name."""
    lines = text.partition(f"| {head} |")[2].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[: lines.index("")]]


def test_the_front_matter_names_every_file(card, tmp_path):
    text = card(*map(row, range(30)))
    _, front, _ = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    found = re.findall(r"- split: (\w+)\n    path: (\S+)", front)
    assert [split for split, _ in found] == list(SPLITS)
    assert all((tmp_path / "data" / name).is_file() for _, name in found)


def test_hugging_face_loads_the_splits_by_it(card, tmp_path, monkeypatch):
    from datasets import load_dataset as load

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [row(number, signals={"b": number / 2, "a": None}) for number in range(80)]
    card(*rows)
    loaded = load(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == set(SPLITS)
    assert loaded["train"][0]["signals"][0] == {"name": "a", "value": None}
    assert sorted(one["id"] for split in SPLITS for one in loaded[split]) == sorted(one["id"] for one in rows)


def test_splits_and_turns_are_counted(card):
    rows = [row(0), row(1, label="incorrect"), row(2), row(3, label=None)]
    text = card(*rows, fractions={"train": 1.0})
    assert table_of(text, "split")[0] == ["train", "2", "4", "2", "1", "1", "0.667"]
    assert table_of(text, "split")[1:] == [[split, "0", "0", "0", "0", "0", "–"] for split in SPLITS[1:]]
    assert table_of(text, "turn") == [["1", "2", "2", "2", "0", "0", "1.000"], ["2", "2", "2", "0", "1", "1", "0.000"]]


def test_large_numbers_can_be_read(card):
    assert "| train | 1 | 1,200 | 1,200 |" in card(
        *[row(0, id=str(n), run_id=str(n)) for n in range(1_200)], fractions={"train": 1.0}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "- grader:exact: 2", id="label sources"),
        pytest.param({"label": None}, "- none: 2", id="no labels"),
        pytest.param({"reasoner": "m1"}, "2 logged attempts of `m1` at 1 questions", id="whose"),
        pytest.param({"origin": "traced"}, "- traced: 2", id="origins"),
        pytest.param(
            {"labels": [said("correct", "human:ann"), said("incorrect", "judge:x")]},
            "contradict each other in 2 rows",
            id="conflicts",
        ),
        pytest.param({"labels": [said("correct", "agreement")]}, "2 labels are weak", id="weak labels"),
        pytest.param({"rationale": "same"}, "2 rows say exactly what another attempt", id="copies"),
        pytest.param({}, "No policy ended a run early", id="no selection"),
        pytest.param({"verdict": "accept"}, "2 were accepted when they were made, 0 stopped", id="selection bias"),
        pytest.param({"verdict": "stop"}, "0 were accepted when they were made, 2 stopped their run", id="stops"),
        pytest.param({"verdict": "review"}, "2 sent it to review", id="reviews"),
        pytest.param({"verdict": "accept", "origin": "explored"}, "for 2 attempts made to explore", id="explored"),
        pytest.param({}, "Redacted: none. Capture: full.", id="what was redacted"),
        pytest.param({}, "Rows that a program gave.", id="no source"),
    ],
)
def test_what_it_says(card, changes, said):
    assert said in " ".join(card(row(0, **changes), row(1, **changes)).split())


def test_a_name_from_a_log_breaks_no_line(card):
    text = card(row(0, reasoner="a`b\n---\n# x\x1b\u202e", origin="live\n\n## Labels"))
    assert "1 logged attempts of `a'b --- # x` at" in text
    assert re.findall(r"^#+ .*", text, flags=re.MULTILINE)[:3] == ["# Behaviors", "## Splits", "## Turns"]
    assert "- live ## Labels: 1\n" in text


def test_how_texts_were_treated(card):
    text = card(row(0), redaction=Redaction(patterns=("x+",), capture="digest"))
    assert re.search(r"Redacted: secrets, patterns [0-9a-f]{8}\. Capture: digest\.", text)


def test_it_names_the_order_of_labels(card):
    assert ", ".join(LABEL_ORDER) in card(row(0))


def test_sources_add_up(tmp_path):
    table = tmp_path / "t.jsonl"
    good = {"question": "2 + 2?", "rationale": "r", "answer": "4", "gold": "4", "model": "m"}
    table.write_text("\n".join([json.dumps(good), json.dumps({**good, "model": "n"}), "{"]))
    dataset = harvest_dataset([table], tmp_path / "data", where=["model=m"], progress=False)[0]
    text = (dataset.path / "README.md").read_text()
    [source] = dataset.manifest.sources
    assert f"- `{table}` (jsonl, SHA-256 `{source.sha256[:12]}…`): 3 read, 1 filtered out, 1 kept, 1 dropped" in text


def test_it_is_the_same_for_the_same_rows(card, tmp_path):
    rows = [row(number) for number in range(12)]
    text = card(*rows)
    again = write_dataset(reversed(rows), tmp_path / "again")
    assert (again.path / "README.md").read_text() == text
