"""Shared draws: the same question at the same turn is asked once, whoever asks."""

import asyncio
import math

import pytest
from fakes import ScriptedChatModel
from langchain_core.messages import AIMessage, HumanMessage

from drr_agent.evaluation.draws import SharedDraws
from drr_agent.graphs import create_baseline

QUESTION = {"messages": [HumanMessage("What is 2 + 2?")]}


def shared(path, *replies):
    return SharedDraws(reasoner=ScriptedChatModel(replies=list(replies)), path=path / "draws.jsonl")


def vote(reasoner, turns, question=QUESTION):
    run = create_baseline("self_consistency", reasoner, None, max_turns=turns).invoke(question)["drr"]
    return [attempt["answer"] for attempt in run["attempts"]], run["usage"]["calls"]


def test_strategies_share_draws_and_are_charged_for_each(tmp_path):
    reasoner = shared(tmp_path, "Answer: 3", "Answer: 4", "Answer: 5")
    assert vote(reasoner, 2) == (["3", "4"], 2)
    assert vote(reasoner, 3) == (["3", "4", "5"], 3), "two draws are remembered, the third is new"
    assert reasoner.drawn == 3


def test_another_question_is_another_draw(tmp_path):
    reasoner = shared(tmp_path, "Answer: 3", "Answer: 7")
    vote(reasoner, 1)
    assert vote(reasoner, 1, {"messages": [HumanMessage("What is 3 + 4?")]}) == (["7"], 1)


def test_draws_outlive_the_process(tmp_path):
    vote(shared(tmp_path, "Answer: 3", "Answer: 4"), 2)
    assert vote(shared(tmp_path), 2) == (["3", "4"], 2), "the scripted Reasoner has no reply left to give"


def test_a_torn_last_line_is_drawn_again(tmp_path):
    vote(shared(tmp_path, "Answer: 3", "Answer: 4"), 2)
    path = tmp_path / "draws.jsonl"
    path.write_text(path.read_text()[:-20])
    assert vote(shared(tmp_path, "Answer: 9"), 2) == (["3", "9"], 2)
    assert vote(shared(tmp_path), 2) == (["3", "9"], 2), "what was drawn again is kept whole"


def test_an_error_of_the_reasoner_is_not_remembered(tmp_path):
    reasoner = shared(tmp_path, ValueError("no"), "Answer: 4")
    with pytest.raises(ValueError, match="no"):
        reasoner.invoke([HumanMessage("q")])
    assert reasoner.invoke([HumanMessage("q")]).content == "Answer: 4"


def test_a_draw_that_two_want_at_once_is_asked_for_once(tmp_path):
    reasoner = shared(tmp_path, "Answer: 3")

    async def both():
        return await asyncio.gather(*(reasoner.ainvoke([HumanMessage("q")]) for _ in range(2)))

    assert [reply.content for reply in asyncio.run(both())] == ["Answer: 3"] * 2


@pytest.mark.parametrize("line", [b"[1]", b"123", b'{"key": "a"}', '{"key": "é'.encode()[:-1], b"\xff"])
def test_a_damaged_line_is_passed_over(tmp_path, line):
    vote(shared(tmp_path, "Answer: 3"), 1)
    path = tmp_path / "draws.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert vote(shared(tmp_path), 1) == (["3"], 1)


def test_what_is_not_json_in_a_reply_is_kept_as_far_as_it_goes(tmp_path):
    odd = AIMessage(
        "Answer: 3", response_metadata={"model": object(), "logprobs": {"content": [{"logprob": -math.inf}]}}
    )
    vote(shared(tmp_path, odd), 1)
    assert vote(shared(tmp_path), 1) == (["3"], 1)
