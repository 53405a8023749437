"""What fails and what runs out: the best answer so far stands."""

import asyncio
import threading

import pytest
from fakes import FailingDM, TableDM
from langgraph.errors import GraphInterrupt
from middleware.agents import (
    BOTH_DRAFTS,
    BOTH_WAYS,
    QUESTION,
    THREAD,
    AgentModel,
    ask,
    in_thread,
    make_agent,
    on_loop,
    run_of,
    texts,
)

from drr_agent import Budget


@BOTH_WAYS
@pytest.mark.parametrize(
    ("dm", "said"),
    [
        (FailingDM(RuntimeError("out of memory")), "RuntimeError: out of memory"),
        (TableDM({}), "KeyError: '3'"),
        (TableDM({"3": float("nan"), "5": float("nan")}), "DMError"),
    ],
    ids=["raises", "knows nothing", "NaN"],
)
def test_a_dm_that_fails_leaves_answers_unscored(run, dm, said):
    agent, _ = make_agent("3", "5", dm=dm, max_turns=2)
    assert texts(run(agent)) == ["What is 2 + 2?", "3"]
    recorded = run_of(agent)
    assert [attempt["score"] for attempt in recorded["attempts"]] == [None, None]
    assert recorded["attempts"][0]["score_error"].startswith(said)
    assert recorded["accepted"] is False


def test_a_dm_that_must_not_fail():
    agent, _ = make_agent("3", dm=FailingDM(RuntimeError("out of memory")), on_dm_failure="raise")
    with pytest.raises(RuntimeError, match="out of memory"):
        in_thread(agent)


@BOTH_WAYS
@BOTH_DRAFTS
def test_an_error_of_a_further_try_costs_a_turn(run, drafts):
    agent, _ = make_agent("3", ValueError("context too long"), "5", max_turns=3, drafts=drafts)
    assert texts(run(agent))[-1] == "5"
    recorded = run_of(agent)
    assert [attempt["error"] for attempt in recorded["attempts"]] == [None, "ValueError: context too long", None]


@BOTH_WAYS
def test_an_error_of_the_first_try_is_the_agent_s_own(run):
    agent, _ = make_agent(ConnectionError("down"))
    with pytest.raises(ConnectionError, match="down"):
        run(agent)


@BOTH_WAYS
def test_an_interrupt_further_in_is_no_failure(run):
    agent, _ = make_agent("3", GraphInterrupt(()))
    run(agent)
    assert run_of(agent) is None


@BOTH_WAYS
@BOTH_DRAFTS
def test_a_budget_ends_a_try_between_two_calls(run, drafts):
    agent, model = make_agent("3", ask(), "4", budget=Budget(max_calls=2), drafts=drafts)
    assert texts(run(agent)) == ["What is 2 + 2?", "", "it is even", "3"]
    recorded = run_of(agent)
    assert (recorded["stop_reason"], recorded["usage"]["calls"], len(model.asked)) == ("budget", 2, 2)
    assert recorded["attempts"][1]["error"] == "the budget ended it before it gave an answer"


def test_endless_tool_calls_of_a_further_try_end():
    agent, model = make_agent("3", *[ask(call_id=f"c{n}") for n in range(9)], budget=Budget(max_calls=5))
    assert texts(in_thread(agent))[-1] == "3"
    assert len(model.asked) == 5


def test_seconds_are_a_limit_of_further_tries_on_the_loop():
    started = threading.Event()

    class Slow(AgentModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            if started.is_set():
                await asyncio.sleep(60)
            started.set()
            return self._generate(messages)

    agent, _ = make_agent("3", model=Slow, budget=Budget(max_seconds=0.2))
    assert texts(on_loop(agent))[-1] == "3"
    recorded = run_of(agent)
    assert recorded["stop_reason"] == "budget"
    assert recorded["attempts"][1]["error"].startswith("TimeoutError: no reply within")


@BOTH_DRAFTS
@pytest.mark.parametrize("limit", range(5, 12), ids=str)
def test_the_recursion_limit_never_costs_the_answer(limit, drafts):
    agent, _ = make_agent("3", "5", ask(), "6", max_turns=3, drafts=drafts)
    result = agent.invoke(QUESTION, {**THREAD, "recursion_limit": limit})
    assert texts(result)[-1] == "5"
    assert run_of(agent)["choice"] == 1
