"""The run log: what is written is read, and damage is named."""

import gzip
import json
import multiprocessing

import pytest
from fakes import make_attempt, make_run
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from drr_agent.errors import DataError
from drr_agent.runs import Reject, RunLog, check_run, read_journal, read_runs
from drr_agent.state import NO_USAGE


def read_all(path):
    rejects: list[Reject] = []
    runs = list(read_runs(path, on_reject=rejects.append))
    return runs, [(reject.line, reject.reason.split(" (")[0]) for reject in rejects]


def test_what_is_appended_is_read(tmp_path):
    log = RunLog(path=tmp_path / "new" / "runs.jsonl")
    runs = [make_run("r1"), make_run("r2", question="naïve “quotes”\n\u2028 and 😀")]
    for run in runs:
        log.append(run)
    assert read_all(log.path) == (runs, [])


def test_a_gzipped_log_is_read(tmp_path):
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(make_run()).encode() + b"\n"))
    assert read_all(path) == ([make_run()], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b'{"schema": 1, "run_id": "r2", "que', "torn or invalid JSON", id="torn"),
        pytest.param(b"\xff\xfe{}", "bytes that are not UTF-8", id="encoding"),
        pytest.param(b"[1, 2]", "JSON that is not a run", id="a list"),
        pytest.param(b'{"answer": 4}', "JSON that is not a run", id="another object"),
        pytest.param(json.dumps(make_run(schema=99)).encode(), "a run of schema 99, not 1", id="schema"),
        pytest.param(json.dumps(make_run(attempts=[{}])).encode(), None, id="attempt without keys"),
        pytest.param(b'{"n": ' + b"1" * 5_000 + b"}", "torn or invalid JSON", id="a number too long"),
        pytest.param(b"[" * 100_000, "torn or invalid JSON", id="nested too deep"),
    ],
)
def test_a_damaged_line_is_named_and_skipped(tmp_path, line, reason):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(json.dumps(make_run("r1")).encode() + b"\n" + line + b"\n" + json.dumps(make_run("r3")).encode())
    runs, rejects = read_all(path)
    assert [run["run_id"] for run in runs] == ["r1", "r3"]
    assert [number for number, _ in rejects] == [2]
    assert reason is None or rejects[0][1] == reason


NESTED = json.loads("[" * 500 + "]" * 500)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({name: value}, id=f"{name} {value!r:.12}")
        for name, values in {
            "schema": [True, None, 1.0, NESTED],
            "run_id": [None, 7],
            "started_at": [7],
            "question": [7, None],
            "context": [None],
            "answer": [7],
            "score": [float("nan"), float("inf"), "0.5"],
            "accepted": [1],
            "stop_reason": ["bored"],
            "choice": [0.5],
            "attempts": [{}, NESTED],
            "usage": [None],
            "reasoner": [None, 7],
            "prompts": [["p"]],
            "origin": [None, "elsewhere"],
            "target": [4],
            "draw": ["0", 10**40, True],
            "max_turns": ["4", 4.5, None, True, 10**40],
            "limit": ["patience", None],
            "limit_scope": ["world", None],
            "usd": ["0.5", float("nan"), True],
        }.items()
        for value in values
    ],
)
def test_a_run_that_lies_about_a_field_is_named_and_skipped(tmp_path, changes):
    assert read_changed(tmp_path, {**make_run("r2"), **changes}) == (["r1", "r3"], [2])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({name: value}, id=f"{name} {value!r:.12}")
        for name, values in {
            "rationale": [7, None],
            "answer": [7, ["a"], {"a": 1}],
            "truncated": ["yes"],
            "logprobs": ["abc", [[1]], [float("nan")], [10**400], NESTED],
            "feedback": [1, None],
            "usage": [None, [], {"calls": "one"}, {**NO_USAGE, "input_tokens": "many"}],
            "seconds": ["long"],
            "turn": ["one", None, 10**30, -(2**63) - 1],
            "signals": [None, ["a"], {"a": "x"}],
            "verdict": ["perhaps"],
        }.items()
        for value in values
    ],
)
def test_an_attempt_that_lies_about_a_field_is_named_and_skipped(tmp_path, changes):
    run = make_run("r2", attempts=[make_attempt("5")])
    run["attempts"].append({**make_attempt("4"), **changes})
    assert read_changed(tmp_path, run) == (["r1", "r3"], [2])


def read_changed(folder, run):
    """Ids and rejected lines of a log with the run between two whole ones."""
    path = folder / "runs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in (make_run("r1"), run, make_run("r3"))))
    runs, rejects = read_all(path)
    return [run["run_id"] for run in runs], [line for line, _ in rejects]


def test_what_a_run_cost_is_a_number_or_unknown():
    assert [check_run(make_run(usd=usd)) for usd in (0.0, 0.5, None)] == [None] * 3
    assert check_run(make_run(usd=float("inf"))) == "inf is no number"
    assert check_run(make_run(limit="usd", limit_scope="thread")) is None


def test_the_turns_that_were_allowed_are_kept_where_they_are_known(tmp_path):
    path, runs = tmp_path / "runs.jsonl", [make_run("old"), make_run("new", max_turns=6)]
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))
    assert read_all(path) == (runs, [])
    assert check_run(make_run(max_turns=2**63)) == "a whole number of more than 64 bits"


def test_fields_of_a_later_version_are_kept(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(later := make_run("r1", mood="good")))
    assert read_all(path) == ([later], [])


def test_damage_is_an_error_when_nobody_listens(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"torn')
    with pytest.raises(DataError, match=r"expected a run in .* line 1, got torn or invalid JSON .*; mend it or pass"):
        list(read_runs(path))


def test_a_gzip_that_ends_early_gives_what_came_before_it(tmp_path):
    path = tmp_path / "runs.jsonl.gz"
    whole = gzip.compress(b"".join(json.dumps(make_run(f"r{n}")).encode() + b"\n" for n in range(200)))
    path.write_bytes(whole[: len(whole) // 2])
    runs = read_runs(path)
    assert [next(runs)["run_id"] for _ in range(20)] == [f"r{n}" for n in range(20)]
    with pytest.raises(DataError, match="expected a whole gzip file"):
        list(runs)


def test_a_missing_log_is_an_error(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        list(read_runs(tmp_path / "none.jsonl"))


def test_a_torn_line_is_never_extended(tmp_path):
    log = RunLog(path=tmp_path / "runs.jsonl")
    log.append(make_run("r1"))
    with log.path.open("ab") as stream:
        stream.write(b'{"schema": 1, "run')
    log.append(make_run("r2"))
    runs, rejects = read_all(log.path)
    assert [run["run_id"] for run in runs] == ["r1", "r2"]
    assert [number for number, _ in rejects] == [2]


def _append_many(path, name):
    log = RunLog(path=path)
    for number in range(50):
        log.append(make_run(f"{name}-{number}", question="x" * 5000))


def test_processes_share_a_log(tmp_path):
    path = tmp_path / "runs.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    runs, rejects = read_all(path)
    assert (len({run["run_id"] for run in runs}), rejects) == (100, [])


def test_the_journal_is_written_only_when_asked_for(tmp_path):
    entry = {"run_id": "r1", "question": "q", "assignment": {"sample_id": "s"}, "attempt": make_attempt()}
    silent = RunLog(path=tmp_path / "a.jsonl")
    silent.journal_attempt(entry)
    assert read_journal(silent.path) == []
    log = RunLog(path=tmp_path / "b.jsonl", journal=True)
    log.journal_attempt(entry)
    with log.journal_path.open("ab") as stream:
        stream.write(b'[1]\n{"run_id": "r1"}\n' + b"[" * 100_000 + b"\n")
        stream.write(json.dumps({**entry, "attempt": make_attempt(turn="one")}).encode() + b"\n")
        stream.write(b'{"run_id": "r1", "atte')
    assert read_journal(log.path) == [entry]


@pytest.mark.parametrize("required", [True, False])
def test_a_log_that_cannot_be_written(tmp_path, caplog, required):
    (tmp_path / "file").write_text("in the way of a folder")
    log = RunLog(path=tmp_path / "file" / "runs.jsonl", required=required)
    if required:
        with pytest.raises(OSError, match="file"):
            log.append(make_run("r1"))
    else:
        log.append(make_run("r1"))
        assert "run r1 is not in the log" in caplog.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"score": float("nan")}, ValueError, id="a number that JSON lacks"),
        pytest.param({"sample_id": {1, 2}}, TypeError, id="a type that JSON lacks"),
    ],
)
def test_a_run_that_is_no_json_is_refused(tmp_path, caplog, changes, error):
    path = tmp_path / "runs.jsonl"
    with pytest.raises(error):
        RunLog(path=path, required=True).append(make_run("r1", **changes))
    log = RunLog(path=path)
    log.append(make_run("r1", **changes))
    assert "run r1 is not in the log" in caplog.text
    log.append(make_run("r2"))
    assert read_all(path) == ([make_run("r2")], []), "nothing of it was written"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_give_runs_and_rejects_that_add_up(tmp_path, lines):
    path = tmp_path / "runs.jsonl"
    content = b"\n".join(lines)
    assume(not content.startswith(b"\x1f\x8b"))  # that is a gzip file
    path.write_bytes(content)
    runs, rejects = read_all(path)
    assert len(runs) + len(rejects) == sum(bool(line.strip()) for line in content.split(b"\n"))
