"""Commands through their entry point: exit status, what goes where, files written."""

import json
import sys

import pytest

from drr_agent.cli import main
from drr_agent.state import RUN_SCHEMA


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call the program; its exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["drr", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def attempts(tmp_path):
    """A table of attempts made elsewhere, with two broken lines."""
    path = tmp_path / "attempts.jsonl"
    rows = [
        {"question": f"What is {q} + 1?", "rationale": f"{q} + 1", "answer": str(q + 1 + draw % 2), "gold": str(q + 1)}
        | {"model": "m1" if q % 2 else "m2", "sample_index": draw}
        for q in range(40)
        for draw in range(4)
    ]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([*lines[:10], '{"question": "torn', *lines[10:], "not json at all"]) + "\n")
    return path


def test_no_arguments_teach(drr):
    code, out, _ = drr("--help")
    assert code == 0
    for verb in ("ask", "distill", "harvest", "train", "calibrate", "evaluate", "demo", "doctor"):
        assert verb in out


def test_version(drr):
    from drr_agent import __version__

    assert drr("--version")[:2] == (0, f"{__version__}\n")


def test_harvest_names_what_it_drops(drr, attempts, tmp_path):
    code, out, err = drr("harvest", attempts, "--out", tmp_path / "data", "--where", "model=m1", "--quiet")
    assert code == 0
    assert "80 new of 80 behaviors" in out
    assert "2 " in err, "the two broken lines are counted"
    rejects = [json.loads(line) for line in (tmp_path / "data" / "rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == 2


def test_harvest_again_adds_nothing(drr, attempts, tmp_path):
    drr("harvest", attempts, "--out", tmp_path / "data", "--quiet")
    code, out, _ = drr("harvest", attempts, "--out", tmp_path / "data", "--quiet", "--json")
    assert (code, json.loads(out)["added"]) == (0, 0)


def test_signals_dm_from_a_table_in_seconds(drr, attempts, tmp_path):
    drr("harvest", attempts, "--out", tmp_path / "data", "--quiet")
    code, out, _ = drr("train", tmp_path / "data", "--out", tmp_path / "dm", "--inputs", "signals", "--quiet", "--json")
    assert code == 0
    assert "within_question_auroc" in json.loads(out)
    code, out, _ = drr("calibrate", tmp_path / "dm", tmp_path / "data", "--quiet", "--json")
    assert code == 0
    assert 0 <= json.loads(out)["loop_threshold"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["harvest", "none.jsonl", "--out", "d"], "found nothing", id="a missing log"),
        pytest.param(["train", "none", "--out", "d"], "expected a dataset folder at 'none'", id="a missing dataset"),
        pytest.param(["ask", "q", "--reasoner", "magic"], "'magic'", id="an unknown Reasoner"),
        pytest.param(["ask", "q", "--dm", "none"], "expected a DM folder at 'none'", id="a missing DM"),
        pytest.param(["ask", "q", "--threshold", "1.5"], "`threshold` must be in [0, 1], got 1.5", id="a threshold"),
        pytest.param(["ask", "q", "--feedback", "shout"], "`feedback` must be one of", id="a feedback"),
        pytest.param(["distill", "none.jsonl", "--log", "l"], "found nothing", id="missing samples"),
        pytest.param(["distill", "x", "--log", "l", "--map", "gold"], "takes ROLE=COLUMN", id="a mapping"),
    ],
)
def test_bad_input_is_one_message(drr, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = drr(*arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_an_unknown_option_is_exit_status_2(drr):
    code, _, err = drr("ask", "q", "--treshold", "0.5")
    assert code == 2
    assert "--treshold" in err


def test_ask_shows_the_turns(drr):
    code, out, _ = drr("ask", "Ava has 3 bags with 12 marbles each. How many marbles?", "--max-turns", "2")
    assert code in (0, 1)
    assert out.startswith("turn 1")


def test_ask_for_machines(drr):
    _, out, _ = drr("ask", "Ava has 3 bags with 12 marbles each. How many marbles?", "--max-turns", "1", "--json")
    run = json.loads(out)
    assert (run["schema"], run["usage"]["calls"], run["reasoner"]) == (RUN_SCHEMA, 1, "pocket")


def test_doctor(drr):
    code, out, _ = drr("doctor", "--json")
    names = [finding["name"] for finding in json.loads(out)]
    assert code == 0
    assert {"torch", "device for DMs", "extra report", "pocket Reasoner"} <= set(names)
