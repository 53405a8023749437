"""Commands through their entry point: exit status, what goes where, files written."""

import json
import signal
import subprocess
import sys
import time

import httpx
import openai
import pytest
from fakes import ScriptedChatModel, TableDM
from graphs.test_certified import save_certified

from drr_agent.cli import main
from drr_agent.prompts import CONFIDENCE, Prompts
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


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        pytest.param("calibrate", "it is certified; by default 0.95", id="calibrate"),
        pytest.param("calibrate", "drops the older certificate", id="an older certificate"),
        pytest.param("replay", "By default drr, and without `--dm` adaptive", id="replay"),
        pytest.param("replay", "by default single, self_consistency, adaptive", id="what replay is against"),
        pytest.param("harvest", "else 0.6,0.15,0.15,0.1", id="harvest"),
        pytest.param("distill", "By default for `pocket`, `local:` and `openai:`", id="distill"),
        pytest.param("distill", "--ask-confidence", id="a stated confidence"),
        pytest.param("evaluate", "--ask-confidence", id="a stated confidence in an evaluation"),
        pytest.param("ask", "--quiet", id="ask quietly"),
    ],
)
def test_help_says_what_is_done_by_default(drr, monkeypatch, verb, said):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = drr(verb, "--help")
    assert said in " ".join(out.replace("│", " ").split())


def test_version(drr):
    from drr_agent import __version__

    assert drr("--version")[:2] == (0, f"{__version__}\n")


def test_harvest_names_what_it_drops(drr, attempts, tmp_path):
    code, out, err = drr("harvest", attempts, "--out", tmp_path / "data", "--where", "model=m1", "--quiet")
    assert code == 3, "what could be read came in, and the rest is named"
    assert "80 new of 80 behaviors" in out
    assert "2 " in err, "the two broken lines are counted"
    rejects = [json.loads(line) for line in (tmp_path / "data" / "rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == 2


def test_harvest_again_adds_nothing(drr, attempts, tmp_path):
    drr("harvest", attempts, "--out", tmp_path / "data", "--quiet")
    code, out, _ = drr("harvest", attempts, "--out", tmp_path / "data", "--quiet", "--json")
    assert (code, json.loads(out)["added"]) == (3, 0)


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
        pytest.param(["ask", " "], "must hold a question, got nothing", id="an empty question"),
        pytest.param(["ask", "q", "--dm", "none"], "expected a DM folder at 'none'", id="a missing DM"),
        pytest.param(["ask", "q", "--reasoner", "local:./typo"], "expected a folder at './typo'", id="a missing model"),
        pytest.param(["ask", "q", "--threshold", "1.5"], "a policy that accepts from one, got 1.5", id="a threshold"),
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


def test_ask_quietly_shows_the_answer_alone(ask):
    _, out, err = ask("so\nAnswer: 4", "Answer: 5", options=["--quiet"])
    assert "turn" not in out + err.replace("max_turns", "")
    assert out.splitlines() == ["", "so", "4"]


QUESTION = "Ava has 3 bags with 12 marbles each. How many marbles?"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ask", QUESTION, "--max-turns", "1"], id="ask"),
        pytest.param(["distill", "pocket:1", "--attempts", "1", "--log", "log.jsonl"], id="distill"),
    ],
)
def test_a_quiet_command_loads_its_reasoner_without_bars(drr, monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("drr_agent.reasoners.engine._ENGINES", {})  # a Reasoner that is loaded already has no bars
    _, _, err = drr(*arguments, "--quiet")
    assert "%|" not in err
    assert "Loading" not in err


def test_a_quiet_training_has_no_bars(drr, attempts, tmp_path):
    drr("harvest", attempts, "--out", tmp_path / "data", "--quiet")
    settings = ("--inputs", "text", "--max-steps", "2", "--max-length", "32", "--quiet")
    code, _, err = drr("train", tmp_path / "data", "--out", tmp_path / "dm", *settings)
    assert code == 0
    assert "%|" not in err
    assert "step" not in err


@pytest.mark.parametrize(
    ("options", "asked"), [([], False), (["--ask-confidence"], True)], ids=["by default", "when told"]
)
def test_the_reasoner_is_asked_how_sure_it_is_where_told(ask, drr, monkeypatch, tmp_path, options, asked):
    _, out, _ = ask("so\nConfidence: 80 %\nAnswer: 4", options=["--json", *options])
    assert (json.loads(out)["prompts"] == Prompts(confidence=CONFIDENCE).digest) == asked
    (tmp_path / "q.jsonl").write_text('{"question": "What is 2 + 2?", "target": "4"}\n')
    reasoner = ScriptedChatModel(replies=["Answer: 4\nConfidence: 80 %"])
    monkeypatch.setattr("drr_agent.cli.distill.open_reasoner", lambda *_, **__: reasoner)
    log = tmp_path / "log.jsonl"
    code, _, _ = drr("distill", tmp_path / "q.jsonl", "--log", log, "--attempts", "1", "--quiet", *options)
    assert code == 0
    (run,) = (json.loads(line) for line in log.read_text().splitlines())
    assert (run["prompts"] == Prompts(confidence=CONFIDENCE).digest) == asked


def test_evaluate_wants_a_second_attempt(drr, tmp_path):
    code, _, err = drr("evaluate", "pocket:2", "--out", tmp_path, "--max-turns", "1", "--quiet")
    assert code == 2
    assert "`--max-turns` of at least 2, got 1: with one attempt a question nobody can tell" in " ".join(err.split())


def test_a_trained_dm_that_does_not_rank_is_doubted(drr, tmp_path):
    rows = [
        {"question": f"What is {q}?", "rationale": "so", "answer": "7", "label": str((q + draw) % 3 > 0).lower()}
        for q in range(60)
        for draw in range(3)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drr("harvest", log, "--out", tmp_path / "data", "--quiet")
    _, out, err = drr("train", tmp_path / "data", "--out", tmp_path / "dm", "--inputs", "signals", "--quiet", "--json")
    assert json.loads(out)["within_question_auroc"] == 0.5
    assert "The DM does not rank attempts: its within-question AUROC is 0.500" in " ".join(err.split())


def test_a_threshold_that_nothing_reads_is_refused(drr, monkeypatch):
    monkeypatch.setattr("drr_agent.cli.ask.default_policy", lambda _: ThresholdFree())
    code, _, err = drr("ask", "q", "--threshold", "0.9")
    assert code == 2
    assert "for a DM that has learned when to stop; drop it" in " ".join(err.split())


class ThresholdFree:
    """A policy without a threshold."""


def test_ask_for_machines(drr):
    _, out, _ = drr("ask", "Ava has 3 bags with 12 marbles each. How many marbles?", "--max-turns", "1", "--json")
    run = json.loads(out)
    assert (run["schema"], run["usage"]["calls"], run["reasoner"]) == (RUN_SCHEMA, 1, "pocket")


@pytest.fixture
def ask(drr, monkeypatch):
    """`drr ask` of a Reasoner that gives these replies."""

    def call(*replies, question="q", options=()):
        reasoner = ScriptedChatModel(replies=list(replies))
        monkeypatch.setattr("drr_agent.cli.ask.open_reasoner", lambda *names, **settings: reasoner)
        turns = ("--max-turns", len(replies))
        return drr("ask", question, "--reasoner", "openai:scripted", *turns, *options)

    return call


def test_ask_tells_what_stands_after_each_turn_and_how_it_ended(ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("drr_agent.cli.ask.open_dm", lambda _: TableDM({"3": 0.2, "4": 0.7, "5": 0.1}))
    replies, options = ["so\nAnswer: 3", "so\nAnswer: 4", "so\nAnswer: 5"], ["--dm", "dm", "--threshold", "0.9"]
    code, out, err = ask(*replies, options=options)
    assert code == 0
    assert out.splitlines() == [
        "turn 1  answer 3  score 0.20  best so far 3, P(right) 0.20  → think again",
        "turn 2  answer 4  score 0.70  best so far 4, P(right) 0.65  → think again",
        "turn 3  answer 5  score 0.10  best so far 4, P(right) 0.63  → max_turns",
        "",
        "so",
        "4",
    ]
    assert err.splitlines()[-1].startswith("not accepted (max_turns), P(right) 0.63, after 3 calls, ")
    assert (
        ask("so\nAnswer: 4", options=["--dm", "dm", "--threshold", "0.6"])[2]
        .splitlines()[-1]
        .startswith("accepted, P(right) 0.70, after 1 call, ")
    )


def test_ask_loads_its_reasoner_before_the_first_turn(drr):
    _, _, err = drr("ask", "What is 2 + 2?", "--max-turns", "1")
    assert err.startswith("loading the Reasoner …\nturn 1 …\n")


def test_ask_says_that_it_waits(ask):
    _, out, err = ask("Answer: 4", "Answer: 5")
    assert "turn" in out
    assert err.startswith("turn 1 …\nturn 2 …\n")
    assert "…" not in ask("Answer: 4", options=["--json"])[2]


@pytest.mark.parametrize(
    ("options", "certified", "told"),
    [
        pytest.param((), True, "", id="as certified"),
        pytest.param(("--max-turns", "2"), False, "certified with 4, in use 2; pass max_turns=4", id="fewer turns"),
        pytest.param(("--threshold", "0.55"), False, "the policy (certified with", id="another threshold"),
    ],
)
def test_a_certified_dm_runs_certified(drr, monkeypatch, tmp_path, options, certified, told):
    dm, reasoner = save_certified(tmp_path / "dm"), ScriptedChatModel(replies=["so\nAnswer: 4"])
    monkeypatch.setattr("drr_agent.cli.ask.open_reasoner", lambda *_, **__: reasoner)
    code, out, err = drr("ask", "q", "--reasoner", "openai:scripted", "--dm", dm, "--json", *options)
    assert code == 0
    assert json.loads(out)["certified"] is certified
    assert told in " ".join(err.split())
    assert ("uncertified" in err) == (not certified)


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        pytest.param("\x1b]0;title\x07\x1b[2Jso\nAnswer: 4\x1b[8m", ["�]0;title��[2Jso", "4�[8m"], id="escapes"),
        pytest.param("so\x9b2J\nAnswer: \u202e41\u2066", ["so�2J", "�41�"], id="C1 and direction"),
        pytest.param("a[/b] [red]x[/] :smile:\nAnswer: \\", ["a[/b] [red]x[/] :smile:", "\\"], id="markup"),
        pytest.param("a\tb\r\nc\nAnswer: é", ["a       b", "c", "é"], id="plain text"),
    ],
)
def test_a_reply_steers_no_terminal(ask, reply, shown):
    code, out, _ = ask(reply)
    assert code == 0
    assert out.splitlines()[-len(shown) :] == shown


def test_json_escapes_what_steers_a_terminal(ask):
    _, out, _ = ask("so\x9b2J\nAnswer: \u202e4\x7f", options=["--json"])
    assert not {"\x9b", "\u202e", "\x7f"} & set(out)
    assert json.loads(out)["answer"] == "\u202e4\x7f"


def test_a_question_that_is_no_text_is_asked(ask):
    code, out, _ = ask("Answer: 4", question="caf\udce9", options=["--json"])
    assert (code, json.loads(out)["question"]) == (0, "caf?")


def _refusal(status, message):
    response = httpx.Response(status, request=httpx.Request("POST", "https://api.test"))
    return openai.APIStatusError(message, response=response, body=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(
            _refusal(401, "Incorrect API key provided: none-needed. Sent 'Bearer abc.def' and sk-proj-12**34."),
            "APIStatusError: Incorrect API key provided: [redacted] Sent 'Bearer [redacted]' and [redacted]",
            id="a key that is refused",
        ),
        pytest.param(_refusal(404, "no model \x1b[2J[/x]"), "APIStatusError: no model �[2J[/x]", id="a model"),
        pytest.param(httpx.InvalidURL("bad"), "InvalidURL: bad", id="an address"),
        pytest.param(OSError(28, "No space left on device"), "No space left on device", id="a full disk"),
    ],
)
def test_what_a_provider_or_the_system_refuses_is_one_message(ask, error, message):
    code, out, err = ask(error)
    assert (code, out) == (2, "")
    assert f"error: {message}" in err or message in err
    assert "Traceback" not in err


def test_a_bug_keeps_its_traceback(ask):
    with pytest.raises(KeyError, match="bug"):
        ask(KeyError("bug"))


def test_paths_are_no_markup(drr, attempts, tmp_path):
    out_folder = tmp_path / "x[" / "b]"  # `x[/b]`, which as markup closes what was never opened
    code, out, _ = drr("harvest", attempts, "--out", out_folder, "--quiet")
    assert code == 3
    assert str(out_folder) in out.replace("\n", "")


def test_a_file_in_a_folders_place_is_one_message(drr, attempts, tmp_path):
    (tmp_path / "data").write_text("in the way")
    code, _, err = drr("harvest", attempts, "--out", tmp_path / "data" / "deep", "--quiet")
    assert code == 2
    assert "Traceback" not in err


def test_doctor(drr):
    code, out, _ = drr("doctor", "--json")
    names = [finding["name"] for finding in json.loads(out)]
    assert code == 0
    assert {"torch", "device for DMs", "extra report", "pocket Reasoner"} <= set(names)


def test_a_dm_that_nobody_calibrated_is_said_to_be(drr, attempts, tmp_path):
    drr("harvest", attempts, "--out", tmp_path / "data", "--quiet")
    drr("train", tmp_path / "data", "--out", tmp_path / "dm", "--inputs", "signals", "--quiet")
    question = "Ava has 3 bags with 12 marbles each. How many marbles?"
    _, _, err = drr("ask", question, "--max-turns", "1", "--dm", tmp_path / "dm")
    assert "is not calibrated yet: run `drr calibrate`" in " ".join(err.split())


WAITING = """
import importlib.abc, os, signal, sys
import drr_agent.cli

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "drr_agent.cli.commands":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass
            except BaseException as error:
                raise ImportError("what a C extension makes of an interrupt") from error

sys.meta_path.insert(0, Interrupting())
sys.argv = ["drr", "doctor"]
drr_agent.cli.main()
"""


def test_ctrl_c_while_modules_load_is_one_message():
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=False)
    assert done.stderr == "interrupted; what is on disk is whole, and the same command does the rest\n"
    assert done.returncode == 130


def test_a_parent_that_ignores_ctrl_c_is_obeyed():
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    done = subprocess.run([sys.executable, "-c", ignoring + WAITING], capture_output=True, text=True, check=False)
    assert (done.returncode, "interrupted" in done.stderr) == (0, False)


def test_ctrl_c_is_one_message_and_the_same_command_goes_on(tmp_path):
    log = tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "drr_agent", "distill", "pocket:150", "--log", str(log), "--attempts", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not log.exists() or log.stat().st_size == 0:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what is on disk is whole, and the same command does the rest" in err
    assert "Traceback" not in err
    done = len(log.read_text().splitlines())
    assert 0 < done < 300
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{done} found" in again.stdout
