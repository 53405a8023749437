"""A label log becomes part of its dataset: each line finds its attempt, and twice is once."""

import pytest
from training.synthetic import make_behavior

from drr_agent.errors import DataError
from drr_agent.lines import hold
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.labels.book import merge_label_log
from drr_agent.training.labels.log import LABELS, LabelLine, append_label

AT = "2026-01-01T00:00:00.000+00:00"


def said(value, source="human:ann", at=AT):
    return {"value": value, "source": source, "at": at}


def open_row(row_id, score=None, question="q", **changes):
    return make_behavior(question, id=row_id, score=score, answer=changes.pop("answer", row_id), label=None, **changes)


@pytest.fixture
def folder(tmp_path):
    """A dataset of an open run with three attempts, a graded one, one that explored, and one without an answer."""
    rows = [
        open_row("o1", question="open", run_id="open", turn=1),
        open_row("o2", question="open", run_id="open", turn=2, verdict="accept"),
        open_row("o3", question="open", run_id="open", turn=3),
        make_behavior("graded", id="g", run_id="graded", labels=[said("correct", "grader:auto")]),
        open_row("s", question="stopped", run_id="stopped", turn=1, verdict="stop"),
        open_row("t", question="stopped", run_id="stopped", turn=2, origin="explored", propensity=0.5),
        open_row("n", question="no answer", run_id="none", answer=None),
        *[open_row(f"f{n}", question="forked", run_id="forked", turn=1) for n in range(2)],
    ]
    write_dataset(rows, tmp_path / "data")
    return tmp_path / "data"


def tell(folder, value="correct", *, source="human:ann", at=AT, **address):
    append_label(folder / LABELS, LabelLine(**{"value": value, "source": source, "at": at, **address}))


def values(folder):
    rows = load_dataset(folder).all()
    return {row["id"]: row["label"] for row in rows if row["labels"]}


@pytest.mark.parametrize(
    ("address", "labelled"),
    [
        pytest.param({"id": "o1"}, "o1", id="by id"),
        pytest.param({"run_id": "open", "turn": 3}, "o3", id="by run and turn"),
        pytest.param({"run_id": "open"}, "o2", id="by run, the accepted attempt"),
        pytest.param({"run_id": "graded"}, "g", id="by run, the only attempt"),
        pytest.param({"run_id": "stopped"}, "s", id="by run, the only attempt not made to explore"),
        pytest.param({"run_id": "open", "turn": 4}, None, id="no such turn"),
        pytest.param({"run_id": "forked"}, None, id="one of two"),
        pytest.param({"run_id": "forked", "turn": 1}, None, id="a turn of two branches"),
        pytest.param({"id": "n"}, None, id="no answer"),
        pytest.param({"run_id": "none"}, None, id="a run without an answer"),
        pytest.param({"id": "x"}, None, id="no such id"),
    ],
)
def test_a_log_becomes_part_of_its_dataset(folder, address, labelled):
    before = values(folder)
    tell(folder, "incorrect", **address)
    merged = merge_label_log(folder)
    assert (merged.added, merged.unknown, merged.rejects) == (int(labelled is not None), int(labelled is None), ())
    assert values(folder) == before | ({} if labelled is None else {labelled: "incorrect"})
    load_dataset(folder).verify()


def test_merging_again_changes_nothing(folder):
    tell(folder, id="o1")
    tell(folder, None, id="o3")
    tell(folder, run_id="open")
    assert merge_label_log(folder).added == 3
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = merge_label_log(folder)
    assert (again.added, again.unknown) == (0, 0)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before, "no file is written again"


def test_the_latest_line_of_a_source_counts_in_whatever_order(folder):
    tell(folder, "incorrect", id="o1", at="2026-01-02T00:00:00Z")
    tell(folder, "correct", id="o1", at="2026-01-01T00:00:00Z")
    tell(folder, "correct", run_id="open", turn=1, at="2026-01-01T12:00:00Z")
    merge_label_log(folder)
    assert values(folder)["o1"] == "incorrect"
    tell(folder, None, id="o1", at="2026-01-03T00:00:00Z")
    merge_label_log(folder)
    assert values(folder)["o1"] is None


def test_conflicts_are_counted_and_resolved_by_the_order(folder):
    tell(folder, "incorrect", id="g", source="feedback:thumbs")
    assert (merge_label_log(folder).dataset.manifest.conflicts, values(folder)["g"]) == (1, "correct")
    tell(folder, "incorrect", id="g", source="environment:ci")
    assert (merge_label_log(folder).dataset.manifest.conflicts, values(folder)["g"]) == (1, "incorrect")


def test_damaged_lines_are_told_of(folder):
    tell(folder, id="o1")
    with (folder / LABELS).open("ab") as stream:
        stream.write(b'{"id": "o2", "val')
    merged = merge_label_log(folder)
    assert [reject.line for reject in merged.rejects] == [2]
    assert values(folder) == {"g": "correct", "o1": "correct"}


def test_a_harvest_keeps_what_was_said(folder):
    tell(folder, id="o1")
    merge_label_log(folder)
    write_dataset([open_row("o1", question="open", run_id="open", turn=1)], folder)
    assert values(folder)["o1"] == "correct"


def test_a_dataset_that_is_being_written_is_left_alone(folder):
    tell(folder, id="o1")
    with hold(folder.resolve(), by="the test"), pytest.raises(DataError, match="another harvest holds it"):
        merge_label_log(folder)
    assert merge_label_log(folder).added == 1, "nothing is lost"


def test_without_a_log_or_a_dataset(folder, tmp_path):
    assert merge_label_log(folder).added == 0
    with pytest.raises(DataError, match="expected a dataset folder"):
        merge_label_log(tmp_path / "none")
