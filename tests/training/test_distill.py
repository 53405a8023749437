"""Distill: every sample its draws, nothing paid for twice, and a log that outlives any kill."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import openai
import pytest
from fakes import FunctionChatModel, ScriptedChatModel, make_attempt
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from drr_agent.errors import ConfigError, DataError, ReasonerError
from drr_agent.feedback import Fresh
from drr_agent.policy import ThresholdPolicy
from drr_agent.prompts import Prompts
from drr_agent.runs import RunLog, read_journal, read_runs
from drr_agent.training.distill import adistill, distill
from drr_agent.training.harvest import harvest
from drr_agent.training.ledger import hold_log
from drr_agent.training.oracle import Oracle, OraclePolicy

SAMPLES = [{"id": f"s{n}", "question": f"What is {n} + {n}?", "target": str(2 * n)} for n in range(1, 5)]


def reply(messages, *, right_after=2):
    """Right after so many wrong tries, each of which is an AI message in the prompt."""
    number = int(messages[0].text.split()[2])
    tries = sum(isinstance(message, AIMessage) for message in messages)
    return f"I add.\nAnswer: {2 * number if tries == right_after else -tries - 1}"


class CountingModel(FunctionChatModel):
    """Replies like `reply`, and keeps what it was asked."""

    function: Callable[..., str] = reply
    calls: list[str] = Field(default_factory=list)

    def _generate(self, messages, *args, **kwargs):
        self.calls.append(messages[0].text)
        return super()._generate(messages, *args, **kwargs)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "runs.jsonl"


def run_distill(reasoner, log, *, samples=SAMPLES, **options):
    return distill(reasoner, samples, log=log, progress=False, **{"attempts": 2, "concurrency": 3, **options})


def logged(log):
    return list(read_runs(log))


def test_every_sample_gets_its_draws(log):
    result = run_distill(CountingModel(), log)
    runs = logged(log)
    assert Counter((run["sample_id"], run["draw"]) for run in runs) == Counter(
        (s["id"], d) for s in SAMPLES for d in (0, 1)
    )
    assert (result.wanted, result.found, result.made, result.failed, result.complete) == (8, 0, 8, 0, True)
    assert result.usage["calls"] == 8
    for run in runs:
        assert (run["origin"], run["dm"], run["stop_reason"]) == ("distilled", None, "max_turns")
        assert run["target"] == next(s["target"] for s in SAMPLES if s["id"] == run["sample_id"])
        assert [attempt["score"] for attempt in run["attempts"]] == [None]


def test_with_feedback_a_run_goes_on_until_it_is_right(log):
    reasoner = CountingModel()
    run_distill(reasoner, log, feedback="history", max_turns=4, attempts=1)
    for run in logged(log):
        assert [attempt["feedback"] for attempt in run["attempts"]] == ["first", "history", "history"]
        assert [attempt["score"] for attempt in run["attempts"]] == [0.0, 0.0, 1.0]
        assert (run["answer"], run["stop_reason"]) == (run["target"], "accepted")
    labels = Counter((b["turn"], b["label"]) for b in harvest([log], progress=False).behaviors)
    assert labels == {(1, "incorrect"): 4, (2, "incorrect"): 4, (3, "correct"): 4}


def test_with_feedback_a_run_ends_with_its_turns(log):
    run_distill(CountingModel(), log, feedback="contrast", max_turns=2, attempts=1)
    assert {run["stop_reason"] for run in logged(log)} == {"max_turns"}
    assert {len(run["attempts"]) for run in logged(log)} == {2}


def test_the_strategy_itself_is_as_good_as_its_name(log):
    run_distill(CountingModel(), log, feedback=Fresh(), attempts=1)
    assert {(len(run["attempts"]), run["dm"]) for run in logged(log)} == {(1, None)}


@pytest.mark.parametrize("status", [400, 429, 529])
def test_a_refusal_of_any_vendor_costs_its_own_run_alone(log, status):
    class VendorError(Exception):
        status_code = status

    result = run_distill(ScriptedChatModel(replies=[VendorError("no")] * 4), log, attempts=1, retries=0)
    assert (result.failed, result.made) == (4, 0)


def test_a_finished_log_asks_nothing(log):
    run_distill(CountingModel(), log)
    again = CountingModel()
    result = run_distill(again, log)
    assert again.calls == []
    assert (result.found, result.made, result.complete) == (8, 0, True)


def test_more_attempts_ask_only_for_the_further_ones(log):
    run_distill(CountingModel(), log, attempts=1)
    more = CountingModel()
    assert run_distill(more, log, attempts=3).made == len(more.calls) == 8
    assert len(logged(log)) == 12


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"prompts": Prompts(instruction="Answer: X")}, id="prompts"),
        pytest.param({"feedback": "history", "max_turns": 2}, id="feedback"),
        pytest.param({"max_turns": 2}, id="turns"),
        pytest.param({"parser": "number"}, id="parser"),
        pytest.param({"parser": "number", "max_turns": 2}, id="parser-and-turns"),
    ],
)
def test_runs_of_another_setup_do_not_count(log, other):
    run_distill(CountingModel(), log)
    assert run_distill(CountingModel(), log, **other).found == 0
    assert run_distill(CountingModel(), log).found == 8
    assert run_distill(CountingModel(), log, **other).found == 8


class SamplingModel(CountingModel):
    temperature: float | None = None
    max_tokens: int | None = None


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 1.5}, {"max_tokens": 64}], ids=str)
def test_runs_of_other_sampling_do_not_count(log, settings, turns):
    run_distill(SamplingModel(), log, max_turns=turns)
    assert run_distill(SamplingModel(temperature=None), log, max_turns=turns).found == 8, "the default, said aloud"
    assert run_distill(SamplingModel(**settings), log, max_turns=turns).found == 0
    assert run_distill(SamplingModel(temperature=0.7), log, max_turns=turns).found == 0
    assert run_distill(SamplingModel(**settings), log, max_turns=turns).found == 8


def test_the_policy_of_a_run_tells_how_it_was_asked_for():
    texts = [repr(OraclePolicy(asked=asked)) for asked in ("", "0a1b2c3d")]
    assert texts[0] == repr(ThresholdPolicy(threshold=1.0)), "as runs were logged before there was more to tell"
    assert [OraclePolicy.asked_in(text) for text in texts] == ["", "0a1b2c3d"]


def test_failed_runs_are_counted_and_made_anew(log):
    down = ScriptedChatModel(replies=[TimeoutError("slow")] * 4 + ["Answer: 1"] * 4)
    result = run_distill(down, log, retries=0, concurrency=1)
    assert (result.made, result.failed, result.complete) == (4, 4, False)
    up = ScriptedChatModel(replies=["Answer: 1"] * 4)
    result = run_distill(up, log)
    assert (result.found, result.retried, result.made, result.complete) == (4, 4, 4, True)
    assert harvest([log], progress=False).dropped == {"failed call": 4}


def api_error(kind, status):
    return kind("no", response=httpx.Response(status, request=httpx.Request("POST", "http://localhost")), body=None)


def test_a_sample_that_the_provider_refuses_costs_its_own_run(log):
    refusing = ScriptedChatModel(
        replies=["Answer: 1", api_error(openai.BadRequestError, 400), "Answer: 1", "Answer: 1"]
    )
    result = run_distill(refusing, log, attempts=1, concurrency=1)
    assert (result.made, result.failed) == (3, 1)


def test_a_rate_limit_is_waited_out(log, monkeypatch):
    waits = []
    sleep = asyncio.sleep

    async def nap(seconds, *args):
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("asyncio.sleep", nap)
    reasoner = ScriptedChatModel(replies=[api_error(openai.RateLimitError, 429), TimeoutError("slow"), "Answer: 2"])
    result = run_distill(reasoner, log, samples=SAMPLES[:1], attempts=1, retries=2)
    assert (result.made, result.failed) == (1, 0)
    growing = [seconds for seconds in waits if seconds >= 1]
    assert len(growing) == 2
    assert growing[0] < growing[1]


def test_a_failed_run_leaves_nothing_to_go_on_from(log):
    options = {"samples": SAMPLES[:1], "attempts": 1, "feedback": "history", "max_turns": 2, "retries": 0}
    assert run_distill(ScriptedChatModel(replies=[TimeoutError("slow")] * 2), log, **options).failed == 1
    result = run_distill(ScriptedChatModel(replies=["Answer: 2"]), log, **options)
    assert (result.resumed, result.retried, result.made) == (0, 1, 1)
    assert [len(run["attempts"]) for run in logged(log)] == [2, 1]


def test_failures_between_successes_do_not_end_it(log):
    shaky = ScriptedChatModel(replies=[TimeoutError("slow"), "Answer: 1"] * 4)
    result = run_distill(shaky, log, retries=0, max_failures=2, concurrency=1)
    assert (result.made, result.failed) == (4, 4)


def test_a_reasoner_that_is_away_ends_it(log):
    away = FunctionChatModel(function=lambda messages: (_ for _ in ()).throw(ConnectionError("refused")))
    with pytest.raises(ReasonerError, match=r"3 failed runs in a row.*ConnectionError: refused"):
        run_distill(away, log, retries=0, max_failures=3, concurrency=1)
    assert [run["stop_reason"] for run in logged(log)] == ["error"] * 3


def test_an_error_that_waiting_cannot_mend_ends_it(log):
    def broken(messages):
        if "3 + 3" in messages[0].text:
            raise PermissionError("no such key")
        return reply(messages)

    with pytest.raises(PermissionError, match="no such key"):
        run_distill(CountingModel(function=broken), log, concurrency=1)
    assert [run["sample_id"] for run in logged(log)] == ["s1", "s2"]
    assert run_distill(CountingModel(), log).found == 2


def test_torn_lines_are_named_and_their_runs_made_anew(log):
    run_distill(CountingModel(), log)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    again = CountingModel()
    result = run_distill(again, log)
    assert [reject.line for reject in result.rejects] == [8]
    assert (result.made, len(again.calls)) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"question": "What else?"}, "the question 'What is 1 \\+ 1\\?', got 'What else\\?'", id="other-question"
        ),
        pytest.param({"target": "3"}, "the target '2', got '3'", id="other-target"),
    ],
)
def test_a_log_of_other_samples_is_refused(log, changes, message):
    run_distill(CountingModel(), log)
    with pytest.raises(DataError, match=message):
        run_distill(CountingModel(), log, samples=[{**SAMPLES[0], **changes}])


@pytest.mark.parametrize(
    ("samples", "options", "error", "message"),
    [
        pytest.param([SAMPLES[0]] * 2, {}, DataError, "two samples have the id 's1'", id="same-id-twice"),
        pytest.param([{**SAMPLES[0], "target": ""}], {}, DataError, "empty target", id="empty-target"),
        pytest.param([], {}, DataError, "at least one sample", id="no-samples"),
        pytest.param(
            [SAMPLES[0], {**SAMPLES[0], "id": "x", "target": "3"}],
            {"max_turns": 2},
            DataError,
            "one target",
            id="two-truths",
        ),
        pytest.param(SAMPLES, {"attempts": 0}, ConfigError, "`attempts`.*got 0", id="no-attempts"),
        pytest.param(
            SAMPLES, {"concurrency": True}, ConfigError, "`concurrency`.*got True", id="concurrency-no-number"
        ),
        pytest.param(SAMPLES, {"max_turns": 0}, ConfigError, "`max_turns`.*got 0", id="no-turns"),
        pytest.param(
            SAMPLES, {"feedback": "history", "max_turns": 1}, ConfigError, "at least 2", id="feedback-on-one-turn"
        ),
        pytest.param(SAMPLES, {"feedback": "praise"}, ConfigError, "got 'praise'", id="no-such-feedback"),
        pytest.param(SAMPLES, {"retries": -1}, ConfigError, "`retries`.*got -1", id="negative-retries"),
    ],
)
def test_what_cannot_work_is_refused(log, samples, options, error, message):
    with pytest.raises(error, match=message):
        run_distill(CountingModel(), log, samples=samples, **options)
    assert not log.exists()


def test_one_log_takes_one_distillation_at_a_time(log):
    with hold_log(log), pytest.raises(DataError, match="another distillation holds"):
        run_distill(CountingModel(), log)
    assert run_distill(CountingModel(), log).complete


def test_a_compressed_log_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"got '.*runs\.jsonl\.gz'"):
        run_distill(CountingModel(), tmp_path / "runs.jsonl.gz")


async def test_no_more_runs_are_under_way_than_wanted(log):
    under_way, most = 0, 0

    class SlowModel(BaseChatModel):
        _llm_type = "slow"

        def _generate(self, *args, **kwargs):
            raise AssertionError("the async path is the one to take")

        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            return ChatResult(generations=[ChatGeneration(message=AIMessage("Answer: 1"))])

    await adistill(SlowModel(), SAMPLES, log=log, attempts=4, concurrency=3, progress=False)
    assert most == 3


async def test_interrupted_it_goes_on_where_it_was(log):
    started = threading.Event()

    def slow(messages):
        started.set()
        time.sleep(0.02)
        return reply(messages)

    options = {"log": log, "attempts": 9, "progress": False, "concurrency": 2}
    task = asyncio.create_task(adistill(CountingModel(function=slow), SAMPLES, **options))
    await asyncio.to_thread(started.wait)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.2)  # a thread that was writing its run is let finish
    result = await adistill(CountingModel(), SAMPLES, **options)
    assert 0 < result.found < 36
    assert Counter((run["sample_id"], run["draw"]) for run in logged(log)) == Counter(
        (s["id"], d) for s in SAMPLES for d in range(9)
    )


CUT = {"samples": SAMPLES[:1], "attempts": 1, "feedback": "history", "max_turns": 4}


def cut_run(log, answers):
    """Leaves the journal of a run that was killed after some attempts; returns what identifies its distillation."""
    run_distill(CountingModel(), log, **CUT)
    [whole] = logged(log)
    log.unlink()
    setup = [whole["reasoner"], whole["prompts"], whole["dm"]]
    assignment = {"sample_id": "s1", "target": "2", "draw": 0, "origin": "distilled", "prior": [], "setup": setup}
    for turn, answer in enumerate(answers, start=1):
        attempt = make_attempt(answer, float(answer == "2"), turn=turn)
        entry = {"run_id": "cut", "question": whole["question"], "assignment": assignment, "attempt": attempt}
        RunLog(path=log, journal=True).journal_attempt(entry)
    return setup


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param(["-1"], 2, id="cut-after-the-first"),
        pytest.param(["-1", "-2"], 1, id="cut-after-the-second"),
        pytest.param(["-1", "-2", "2"], 0, id="right-but-not-logged"),
        pytest.param(["-1", "-2", "-3", "-4"], 0, id="out-of-turns-but-not-logged"),
    ],
)
def test_a_run_cut_in_its_middle_goes_on_from_its_journal(log, answers, asked):
    setup = cut_run(log, answers)
    reasoner = CountingModel()
    result = run_distill(reasoner, log, **CUT)
    [run] = logged(log)
    assert [run["reasoner"], run["prompts"], run["dm"]] == setup
    assert len(reasoner.calls) == asked == result.usage["calls"]
    assert [attempt["answer"] for attempt in run["attempts"]] == (["-1", "-2", "2"] if len(answers) < 4 else answers)
    assert [attempt["turn"] for attempt in run["attempts"]] == list(range(1, len(run["attempts"]) + 1))
    assert result.resumed == 1
    assert read_journal(log) == []


def test_a_run_cut_in_its_middle_is_nothing_to_another_setup(log):
    cut_run(log, ["-1"])
    other = {**CUT, "max_turns": 3}
    assert run_distill(CountingModel(), log, **other).resumed == 0
    assert run_distill(CountingModel(), log, **CUT).resumed == 1


KILLED = """
    import asyncio, json, sys
    from pathlib import Path
    sys.path[:0] = [sys.argv[1], sys.argv[2]]
    from test_distill import SAMPLES, reply
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from drr_agent.feedback import History
    from drr_agent.training.distill import distill

    class SlowModel(BaseChatModel):
        _llm_type = "slow"

        def _generate(self, *args, **kwargs):
            raise AssertionError("the async path is the one to take")

        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            with Path(sys.argv[4]).open("a") as asks:
                asks.write(messages[0].text.splitlines()[0] + "\\n")
            await asyncio.sleep(0.03)
            return ChatResult(generations=[ChatGeneration(message=AIMessage(reply(messages, right_after=5)))])

    options = json.loads(sys.argv[5])
    feedback = History(last=9) if options["max_turns"] > 1 else "fresh"
    distill(SlowModel(), SAMPLES, log=Path(sys.argv[3]), concurrency=4, progress=False, feedback=feedback, **options)
"""
IN_FLIGHT = 4


def start(log, asks, options):
    here = __file__.rpartition("/")[0]
    script = textwrap.dedent(KILLED)
    return subprocess.Popen([sys.executable, "-c", script, here, f"{here}/..", log, asks, json.dumps(options)])


def count_lines(path):
    return len(path.read_text().splitlines()) if path.exists() else 0


def kill_after(process, asks, count):
    limit = time.monotonic() + 60
    while count_lines(asks) < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < limit, "it never asked so often"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        pytest.param({"attempts": 12, "max_turns": 1}, 1, id="fresh-draws"),
        pytest.param({"attempts": 2, "max_turns": 8}, 6, id="turns-with-history"),
    ],
)
def test_killed_twice_it_loses_nothing_and_pays_twice_only_for_what_was_in_flight(tmp_path, log, options, turns):
    asks = tmp_path / "asks.txt"
    kill_after(start(log, asks, options), asks, 18)
    kill_after(start(log, asks, options), asks, 38)
    assert start(log, asks, options).wait() == 0
    runs = list(read_runs(log, on_reject=lambda reject: None))
    wanted = Counter((sample["id"], draw) for sample in SAMPLES for draw in range(options["attempts"]))
    assert Counter((run["sample_id"], run["draw"]) for run in runs) == wanted
    assert {len(run["attempts"]) for run in runs} == {turns}
    assert 0 <= count_lines(asks) - turns * len(runs) <= 2 * IN_FLIGHT


def test_the_oracle_knows_right_from_wrong():
    from drr_agent.dm.protocol import ScoreRequest
    from drr_agent.grading import get_grader

    oracle = Oracle(SAMPLES, grader=get_grader("number"), setting="a")
    requests = [ScoreRequest("What is 1 + 1?", "", answer) for answer in ("2", "2.0", "3")]
    assert [score.score for score in oracle.score(requests)] == [1.0, 1.0, 0.0]
    assert oracle.digest != Oracle(SAMPLES, grader=get_grader("number"), setting="b").digest
    assert oracle.digest != Oracle(SAMPLES, grader=get_grader("exact"), setting="a").digest
