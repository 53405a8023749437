"""The demo in small: every stage leaves its files, and a second start does none of them again."""

import json

import pytest

from drr_agent.demo import DemoConfig, run_demo
from drr_agent.training.config import TrainConfig

SMALL = DemoConfig(
    questions=48,
    attempts=4,
    fresh=12,
    max_turns=3,
    train=TrainConfig(backbone="pocket", max_length=256, max_steps=4, evaluations=2),
    progress=False,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder, config=SMALL, say=lambda line: None)
    return folder


def test_every_stage_leaves_its_files(out):
    names = {path.name for path in out.iterdir()}
    assert {"runs.jsonl", "dataset", "dm", "dm-signals", "evaluation", "report.json", "report.html"} <= names


def test_the_report_compares_on_fresh_questions(out):
    report = json.loads((out / "report.json").read_text())
    assert {result["n"] for result in report["results"]} == {SMALL.fresh}
    assert report["results"][0]["strategy"] == "drr_consensus"
    assert list(report["dm"]["within_question_auroc_of"]) == ["text alone", "signals alone", "log probabilities alone"]
    asked = {json.loads(line)["question"] for line in (out / "runs.jsonl").read_text().splitlines()}
    assert not any(example["question"] in asked for example in report["examples"])


def test_a_second_start_goes_on_from_what_is_there(out):
    names = ("runs.jsonl", "dm/model.safetensors", "evaluation/draws.jsonl")
    before = [(out / name).stat().st_mtime_ns for name in names]
    said = []
    run_demo(out, config=SMALL, say=said.append)
    assert [(out / name).stat().st_mtime_ns for name in names] == before
    assert len([line for line in said if line.startswith("train: there is a DM")]) == 3
