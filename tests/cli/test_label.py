"""drr label through its entry point: what is shown and kept, what a killed session leaves, what machines say."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from fakes import FunctionChatModel, ScriptedChatModel, TableDM
from training.synthetic import make_behavior

from drr_agent.cli import (
    label,  # noqa: F401 - registers the command
    main,
)
from drr_agent.policy import ConsensusPolicy
from drr_agent.questions import question_key
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.labels.log import LABELS, LabelLine, append_label, read_labels
from drr_agent.training.redaction import Redaction

SCORES = {"a": 0.95, "b": 0.79, "c": 0.5, "d": None}
"""Attempts by their logged score; near 0.8, where a loop without calibration decides, is `b`, then `a`, `c`, `d`."""


def graded(value):
    return [{"value": value, "source": "grader:auto", "at": None}]


def open_row(name, score=None, **changes):
    given = {"id": name, "run_id": name, "answer": f"answer {name}", "label": None, "target": None, "score": score}
    return make_behavior(f"question {name}", **{**given, **changes})


@pytest.fixture
def data(tmp_path):
    """Four open attempts, a graded one, and one without an answer."""
    rows = [open_row(name, score) for name, score in SCORES.items()]
    rows += [open_row("graded", labels=graded("correct")), open_row("none", answer=None)]
    write_dataset(rows, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call the program with something on standard input; its exit status, standard output and standard error."""

    def call(*arguments, said=""):
        monkeypatch.setattr(sys, "argv", ["drr", "label", *map(str, arguments), "--quiet"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(said) if isinstance(said, str) else said)
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def shown(out):
    """The attempts that were shown, in order."""
    return "".join(re.findall(r"answer ([a-z])\b", out))


def values(folder):
    rows = load_dataset(folder).all()
    return {row["id"]: row["label"] for row in rows if any(r["source"].startswith("human") for r in row["labels"])}


def test_answers_become_labels(drr, data):
    code, out, err = drr(data, "--as", "ann", said="y\nn\ns\nq\n")
    assert (code, err) == (0, "")
    assert shown(out) == "bacd", "the nearest to the threshold first, the unscored last"
    assert "2 labelled, 1 skipped, 1 left" in out
    assert "0 conflicts, 0.0% of the labels weak" in out
    assert values(data) == {"b": "correct", "a": "incorrect", "c": None}
    row = next(row for row in load_dataset(data).all() if row["id"] == "b")
    assert row["label_source"] == "human:ann"
    load_dataset(data).verify()


def test_what_an_attempt_shows_and_what_would_sway(drr, data):
    rows = [open_row("e", 0.8, context="human: hi", rationale="thus", labels=[
        {"value": "correct", "source": "judge:x", "at": None}])]  # fmt: skip
    write_dataset(rows, data)
    _, out, _ = drr(data, said="q\n")
    parts = ("1 of 5 .*", "context", "human: hi", "question", "question e", "rationale", "thus", "answer", "answer e")
    assert re.search(r"\n *".join(parts), out)
    assert "0.8" not in out
    assert "judge" not in out.split("right?")[0]


@pytest.mark.parametrize(
    ("said", "order", "kept"),
    [
        pytest.param("", "b", {}, id="nothing"),
        pytest.param("y\n", "ba", {"b": "correct"}, id="an end without q"),
        pytest.param("YES\n No \nSkip\nquit\n", "bacd", {"b": "correct", "a": "incorrect", "c": None}, id="words"),
        pytest.param("y\nb\nn\nq\n", "baba", {"b": "incorrect"}, id="back and otherwise"),
        pytest.param("y\nb\ny\nn\nq\n", "babac", {"b": "correct", "a": "incorrect"}, id="back and the same"),
        pytest.param("y\nn\nb\nb\nn\nn\nq\n", "bacabac", {"b": "incorrect", "a": "incorrect"}, id="back twice"),
        pytest.param("b\ny\nq\n", "bba", {"b": "correct"}, id="nothing to take back"),
        pytest.param("y\nb\nq\n", "bab", {"b": None}, id="back and away"),
        pytest.param("what\n\ny\nq\n", "ba", {"b": "correct"}, id="what is no key is asked again"),
        pytest.param("y\ny\ny\ny\n", "bacd", dict.fromkeys("abcd", "correct"), id="to the end"),
    ],
)
def test_keys(drr, data, said, order, kept):
    code, out, _ = drr(data, said=said)
    assert (code, shown(out), values(data)) == (0, order, kept)


@pytest.mark.parametrize(
    ("options", "order"),
    [
        pytest.param([], "cd", id="what is left"),
        pytest.param(["--all"], "acd", id="and what was skipped"),
        pytest.param(["--as", "ben"], "acd", id="somebody else is not bound by it"),
        pytest.param(["--limit", "1"], "c", id="one"),
        pytest.param(["--threshold", "0.5"], "cd", id="another threshold"),
    ],
)
def test_the_next_session_goes_on(drr, data, options, order):
    drr(data, said="y\ns\nq\n")
    _, out, _ = drr(data, *options, said="s\n" * 9)
    assert shown(out) == order


def test_at_random_the_next_session_goes_on_in_the_same_order(drr, data):
    random_order = "".join(sorted("abcd", key=lambda name: question_key(f"question {name}")))
    assert random_order != "bacd"
    _, out, _ = drr(data, "--order", "random", said="y\nn\nq\n")
    assert shown(out) == random_order[:3]
    assert values(data) == {random_order[0]: "correct", random_order[1]: "incorrect"}
    _, out, _ = drr(data, "--order", "random", said="s\n" * 9)
    assert shown(out) == random_order[2:]


def test_what_was_taken_back_comes_again(drr, data):
    drr(data, said="y\nb\nq\n")
    assert shown(drr(data, said="q\n")[1]) == "b"


def test_of_one_split(drr, data):
    rows = {split: {row["id"] for row in load_dataset(data).iter_rows(split)} for split in ("train", "test")}
    _, out, _ = drr(data, "--split", "train", said="s\n" * 9)
    assert set(shown(out)) == rows["train"] & set(SCORES)


@pytest.fixture
def scored_by(monkeypatch):
    """A DM by another name than any folder's."""

    class CalibratedDM(TableDM):
        consensus = ConsensusPolicy(threshold=0.2)

    dm = CalibratedDM({f"answer {name}": score for name, score in zip("abcd", (0.9, 0.1, 0.6, 0.25), strict=True)})
    monkeypatch.setattr("drr_agent.cli.label.open_dm", lambda path: dm)
    return dm


@pytest.mark.parametrize(("options", "order"), [([], "dbca"), (["--threshold", "1"], "acdb")], ids=["its own", "given"])
def test_a_dm_scores_afresh_and_knows_where_the_loop_decides(drr, data, scored_by, options, order):
    _, out, _ = drr(data, "--dm", "dm", *options, said="s\n" * 4)
    assert shown(out) == order


def test_another_program_tells_of_it_later(drr, data):
    line = LabelLine(run_id="a", value="incorrect", source="environment:tickets", at="2026-01-01T00:00:00Z")
    append_label(data / LABELS, line)
    append_label(data / LABELS, line.model_copy(update={"run_id": "of another dataset"}))
    with (data / LABELS).open("a") as stream:
        stream.write("torn")
    code, out, err = drr(data, said="q\n")
    assert (code, shown(out)) == (0, "b")
    assert "line 3 is no label: torn or invalid JSON" in err.replace("\n", " ")
    assert "1 lines of the log are about no attempt here" in err.replace("\n", " ")
    assert next(row for row in load_dataset(data).all() if row["id"] == "a")["label"] == "incorrect"


def test_for_machines(drr, data):
    code, out, err = drr(data, "--json", said="y\nn\ns\nq\n")
    found = json.loads(out)
    assert (code, found["by_hand"]) == (0, {"labelled": 2, "skipped": 1, "left": 1})
    assert (found["conflicts"], found["weak"], found["machines"], found["judge"]) == (0, 0.0, [], None)
    assert found["label_sources"] == {"grader:auto": 1, "human": 2, "none": 3}
    assert shown(err) == "bacd"


def test_nothing_left(drr, data):
    drr(data, said="s\n" * 4)
    code, out, _ = drr(data, said="")
    assert (code, shown(out)) == (0, "")
    assert "0 labelled, 0 skipped, 0 left" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\x1b]0;title\x07\x1b[2J\x9b2Jx", "\ufffd]0;title\ufffd\ufffd[2J\ufffd2Jx", id="escapes"),
        pytest.param("[red]x[/] :smile:", "[red]x[/] :smile:", id="markup"),
        pytest.param("\u202e12", "\ufffd12", id="direction"),
    ],
)
def test_an_attempt_steers_no_terminal(drr, data, text, expected):
    write_dataset([open_row("e", 0.8, rationale=text)], data)
    assert expected in drr(data, said="q\n")[1]


def test_an_attempt_cannot_pass_for_the_prompt(drr, data):
    fake = "right? y(es), n(o), s(kip), b(ack), q(uit): "
    write_dataset([open_row("e", 0.8, rationale=f"x\n{fake}\r{fake}\u2028{' ' * 500}{fake}")], data)
    _, out, _ = drr(data, said="q\n")
    assert len([line for line in out.splitlines() if line.startswith("right?")]) == 1


def test_ten_megabytes_are_shown_in_part(drr, data):
    write_dataset([open_row("e", 0.8, rationale="r" * 10_000_000)], data)
    _, out, _ = drr(data, said="q\n")
    assert "9,994,000 characters" in out
    assert len(out) < 20_000


class Nothing(io.StringIO):
    """The empty device, as a service has it."""

    def __init__(self):
        super().__init__()
        self.device = os.open(os.devnull, os.O_RDONLY)

    def fileno(self):
        return self.device


@pytest.mark.parametrize(
    ("options", "said", "message"),
    [
        pytest.param([], Nothing(), "expected a terminal to ask in", id="no terminal"),
        pytest.param([], None, "expected a terminal to ask in", id="no standard input"),
        pytest.param(["--as", " "], "", "`--as` takes a name, got ' '", id="an empty name"),
        pytest.param(["--as", "a\x1bb"], "", "`--as` takes a name", id="a name that steers"),
        pytest.param(["--rubric", "r.txt"], "", "name a Reasoner by `--judge`", id="a rubric alone"),
        pytest.param(["--judge", "magic"], "", "'magic'", id="an unknown judge"),
        pytest.param(["--judge", "pocket", "--rubric", "none.txt"], "", "No such file", id="no rubric file"),
        pytest.param(["--agreement", "--min-share", "0.2"], "", "`min_share` must be over one half", id="a share"),
        pytest.param(["--dm", "none"], "", "expected a DM folder at 'none'", id="no DM"),
        pytest.param(["--threshold", "2"], "", "--threshold", id="a threshold"),
        pytest.param(["--split", "dev"], "", "--split", id="a split"),
        pytest.param(["--order", "best"], "", "'--order'", id="an order"),
        pytest.param(
            ["--order", "random", "--dm", "dm"], "", "`--dm` is for the informative order", id="a DM at random"
        ),
        pytest.param(
            ["--order", "random", "--threshold", "0.5"],
            "",
            "with `--order random`; drop one",
            id="a threshold at random",
        ),
    ],
)
def test_bad_input_is_one_message(drr, data, options, said, message):
    code, out, err = drr(data, *options, said=said)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert not (data / LABELS).exists()


def test_a_missing_dataset_and_one_of_digests(drr, tmp_path):
    assert "expected a dataset folder" in drr(tmp_path / "none")[2]
    write_dataset([open_row("a")], tmp_path / "data", redaction=Redaction(capture="digest"))
    assert "got hashes of them" in drr(tmp_path / "data")[2]


def test_agreement_is_marked(drr, tmp_path):
    rows = [open_row("q", id=f"q{n}", run_id=f"q{n}", answer="4") for n in range(3)]
    rows += [open_row("r", id=f"r{n}", run_id=f"r{n}", answer="4", labels=graded("correct")) for n in range(9)]
    write_dataset(rows, tmp_path / "data")
    code, out, _ = drr(tmp_path / "data", "--agreement")
    assert code == 0
    assert "agreement: 12 correct; agrees with the labels that exist on 100.0% of 9 attempts; no Cohen's kappa" in out
    assert "0 conflicts, 25.0% of the labels weak" in out
    assert drr(tmp_path / "data", "--agreement", "--json")[1].count("agreement") == 2 + 1


@pytest.fixture
def judged_by(monkeypatch):
    """`--judge` as this model."""

    def use(model):
        monkeypatch.setattr("drr_agent.cli.label.open_reasoner", lambda spec, **settings: model)

    return use


def test_a_judge_has_its_kappa_beside_it(drr, tmp_path, judged_by):
    rows = [open_row(f"g{n}", answer=str(n % 2), labels=graded("correct" if n % 2 else "incorrect")) for n in range(20)]
    write_dataset([*rows, *(open_row(f"o{n}", answer="1") for n in range(3))], tmp_path / "data")
    (tmp_path / "rubric.txt").write_text("Odd is right.")
    asked = []

    def reply(messages):
        asked.append(messages[0].content)
        right = "answer of the attempt:\n> 1" in messages[0].content and "question g1\n" not in messages[0].content
        return f"Verdict: {'correct' if right else 'incorrect'}"

    judged_by(FunctionChatModel(function=reply))
    options = ["--judge", "openai:x", "--rubric", tmp_path / "rubric.txt"]
    code, out, _ = drr(tmp_path / "data", *options, "--limit", "22")
    assert code == 0
    assert re.search(r"judge:FunctionChatModel#\w{8}: 11 correct, 11 incorrect; agrees with .* 95.0% of 20", out)
    assert re.search(r"Cohen's kappa 0.90 \(95 % interval 0.\d\d to 1.00\)", out)
    assert all("Odd is right." in text for text in asked)
    assert len(asked) == 22
    drr(tmp_path / "data", *options)
    assert len(asked) == 23, "one was left, and none is asked about twice"
    assert load_dataset(tmp_path / "data").manifest.conflicts == 1


def test_a_judge_for_machines(drr, data, judged_by):
    judged_by(ScriptedChatModel(replies=["Verdict: correct", "Verdict: unsure", "?", "Verdict: incorrect", "x"]))
    code, out, _ = drr(data, "--judge", "openai:x", "--json", "--concurrency", "1")
    found = json.loads(out)
    assert code == 0
    assert found["judge"]["opinions"] == {"correct": 1, "unsure": 1, "unreadable": 2, "incorrect": 1}
    assert found["machines"][0]["values"] == {"correct": 1, "none": 3, "incorrect": 1}
    assert found["machines"][0]["kappa"]["reason"].startswith("1 attempts")


PROGRAM = "import drr_agent.cli.label; from drr_agent.cli import main; main()"


@pytest.fixture
def start(data):
    """A session of its own process; its standard input is a pipe unless told otherwise."""
    sessions = []

    def begin(**streams):
        command = [sys.executable, "-c", PROGRAM, "label", str(data), "--quiet"]
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **streams}
        sessions.append(subprocess.Popen(command, text=True, **given))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.kill()
        session.communicate()


def wait_for_labels(session, folder, count):
    while not (folder / LABELS).exists() or len(list(read_labels(folder / LABELS))) < count:
        assert session.poll() is None, session.stdout.read()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("how", "status"),
    [pytest.param(signal.SIGKILL, -9, id="killed"), pytest.param(signal.SIGINT, 130, id="Ctrl-C")],
)
def test_a_session_that_is_cut_off_loses_nothing(drr, data, start, how, status):
    session = start()
    session.stdin.write("y\nn\n")
    session.stdin.flush()
    wait_for_labels(session, data, 2)
    session.send_signal(how)
    out, _ = session.communicate(timeout=60)
    assert session.returncode == status
    assert "Traceback" not in out
    assert ("what is on disk is whole" in out) is (how == signal.SIGINT)
    assert values(data) == {}, "not merged yet"
    assert shown(drr(data, said="q\n")[1]) == "c"
    assert values(data) == {"b": "correct", "a": "incorrect"}


def test_at_a_terminal(data, start):
    ours, theirs = pty.openpty()
    session = start(stdin=theirs)
    os.write(ours, b"y\nq\n")
    out, _ = session.communicate(timeout=60)
    os.close(ours), os.close(theirs)
    assert (session.returncode, shown(out)) == (0, "ba")
    assert values(data) == {"b": "correct"}
