"""The scripts under examples/ run offline, and show what they say."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = {path.stem for path in EXAMPLES.glob("*.py")} - {"scripted"}


@pytest.fixture
def script(monkeypatch):
    """A script's names, as if run from its folder."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return lambda name: runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_questions_are_answered(script, capsys):
    runs = script("question_answering")["main"]()
    assert len(runs) == 3
    assert all(run["attempts"] and run["stop_reason"] != "error" for run in runs)
    assert capsys.readouterr().out.count("right is") == 3


def test_the_user_of_the_agent_sees_one_answer(script, capsys):
    messages = script("tool_agent")["main"]()
    assert [message.type for message in messages] == ["ai", "tool", "ai"]
    assert messages[-1].text.endswith("Answer: 36")
    assert "35" not in capsys.readouterr().out


def test_an_answer_that_no_passage_bears_out_is_rejected(script):
    run = script("retrieval")["main"]()
    assert [attempt["verdict"] for attempt in run["attempts"]] == ["reject", "accept"]
    assert run["answer"] == "The ferry leaves at 9:40 and at 17:15"
    assert run["attempts"][0]["signals"]["grounded"] < 0.5


def test_the_tests_are_the_label_of_the_code(script):
    rows = script("code_with_tests")["main"]()
    assert [(row["verdict"], row["label"], row["label_source"]) for row in rows] == [
        ("reject", None, None),
        ("accept", "correct", "environment:tests"),
        ("accept", "incorrect", "environment:tests"),
    ]


def test_a_week_of_logs_makes_a_better_dm(script, tmp_path):
    outcome = script("flywheel")["main"](tmp_path)
    assert outcome.after > outcome.before + 0.05
    assert (tmp_path / "dm" / "drr.json").exists()
    assert not outcome.verdict.startswith("Do not")


def test_every_script_is_tested():
    assert {"question_answering", "tool_agent", "retrieval", "code_with_tests", "flywheel"} == SCRIPTS
