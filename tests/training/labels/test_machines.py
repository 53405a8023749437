"""Whole datasets labelled by a machine, and what it is worth beside the labels that exist."""

import pytest
from fakes import ScriptedChatModel
from training.synthetic import make_behavior

from drr_agent.errors import DataError
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.labels.judge import Judge
from drr_agent.training.labels.machines import label_by_agreement, label_by_judge
from drr_agent.training.redaction import Redaction

AT = "2026-01-01T00:00:00.000+00:00"


def said(value, source="human:ann", at=AT):
    return {"value": value, "source": source, "at": at}


def open_row(row_id, score=None, question="q", **changes):
    return make_behavior(question, id=row_id, score=score, answer=changes.pop("answer", row_id), label=None, **changes)


def agreeing(folder, questions=12):
    """Graded questions, the majority right but at the last two; and one that nobody graded."""
    rows = [
        make_behavior(
            f"q{n}",
            id=f"q{n}:{draw}",
            run_id=f"q{n}:{draw}",
            answer="4" if draw else "5",
            labels=[said("correct" if bool(draw) == (n < questions - 2) else "incorrect", "grader:auto")],
        )
        for n in range(questions)
        for draw in range(4)
    ]
    rows += [open_row(f"o{n}", question="open", run_id=f"o{n}", answer="7") for n in range(3)]
    write_dataset(rows, folder)


def test_a_dataset_by_agreement(tmp_path):
    agreeing(tmp_path / "data")
    found = label_by_agreement(tmp_path / "data")
    assert (found.source, found.values) == ("agreement", {"correct": 39, "incorrect": 12})
    assert (found.kappa.pairs, found.kappa.questions) == (48, 12)
    assert found.kappa.agreement == pytest.approx(40 / 48)
    manifest = found.dataset.manifest
    assert (manifest.weak, manifest.label_sources) == (3, {"agreement": 3, "grader:auto": 48})
    assert manifest.conflicts == 0
    found.dataset.verify()
    again = label_by_agreement(tmp_path / "data", min_votes=4)
    assert again.values == {"correct": 36, "incorrect": 12, "none": 3}
    assert again.dataset.manifest.weak == 0, "what is no longer clear has no label"


def test_a_split_by_agreement(tmp_path):
    agreeing(tmp_path / "data")
    found = label_by_agreement(tmp_path / "data", splits=("train",))
    held = {
        split: any(r["source"] == "agreement" for row in found.dataset.iter_rows(split) for r in row["labels"])
        for split in ("train", "validation", "calibration", "test")
    }
    assert held == {"train": True, "validation": False, "calibration": False, "test": False}


def test_a_dataset_by_a_judge(tmp_path):
    agreeing(tmp_path / "data")
    model = ScriptedChatModel(replies=["Verdict: correct"] * 23)
    found, judged = label_by_judge(tmp_path / "data", Judge(model=model), check=20, concurrency=1, progress=False)
    assert (found.source, found.values) == ("judge:ScriptedChatModel", {"correct": 23})
    assert (found.kappa.pairs, judged.failed) == (20, 0)
    assert found.dataset.manifest.label_sources == {"grader:auto": 48, "judge:ScriptedChatModel": 3}
    found.dataset.verify()
    again, judged = label_by_judge(tmp_path / "data", Judge(model=model), check=20, progress=False)
    assert (again.values, judged.found, again.kappa) == ({}, 23, found.kappa)


def test_nobody_judges_digests(tmp_path):
    write_dataset([open_row("a")], tmp_path / "data", redaction=Redaction(capture="digest"))
    with pytest.raises(DataError, match=r"expected texts in .* got hashes of them .*; harvest the sources"):
        label_by_judge(tmp_path / "data", Judge(model=ScriptedChatModel(replies=[])))
