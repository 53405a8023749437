"""The baselines, as a table of scripts: what each asks, and which answer it gives."""

import pytest
from fakes import ScriptedChatModel, TableDM
from langchain_core.messages import AIMessage, HumanMessage

from drr_agent import ConfigError
from drr_agent.dm.protocol import ScoreRequest
from drr_agent.graphs import create_baseline
from drr_agent.graphs.baselines import SelfCritic
from drr_agent.prompts import Prompts

QUESTION = {"messages": [HumanMessage("What is 2 + 2?")]}
TABLE = {"3": 0.1, "4": 0.9, "5": 0.3}


@pytest.mark.parametrize(
    ("name", "options", "replies", "answer"),
    [
        pytest.param("single_pass", {}, ["3"], "3", id="one attempt"),
        pytest.param("self_consistency", {"max_turns": 3}, ["3", "4", "4"], "4", id="the majority"),
        pytest.param("self_consistency", {"max_turns": 2}, ["3", "4"], "3", id="the earliest wins a tie"),
        pytest.param("adaptive_consistency", {"max_turns": 8}, ["4"] * 4, "4", id="a safe lead stops"),
        pytest.param("adaptive_consistency", {"max_turns": 8, "confidence": 0.5}, ["4"], "4", id="little confidence"),
        pytest.param("best_of_n", {"max_turns": 3}, ["3", "5", "3"], "5", id="the best score"),
        pytest.param("self_critique", {"max_turns": 4}, ["3", "no", "4", "yes"], "4", id="its own judge"),
        pytest.param("self_critique", {"max_turns": 2}, ["3", "no", "5", "no"], "3", id="it believes nothing"),
    ],
)
def test_baseline(name, options, replies, answer):
    script = [reply if reply in ("yes", "no") else f"Answer: {reply}" for reply in replies]
    reasoner = ScriptedChatModel(replies=script)
    dm = TableDM(TABLE) if name == "best_of_n" else None
    run = create_baseline(name, reasoner, dm, **options).invoke(QUESTION)["drr"]
    assert run["answer"] == answer
    assert len(reasoner.asked) == len(replies)
    assert run["usage"]["calls"] == len(replies), "a verdict is a call too"


def test_self_critique_thinks_again_with_its_history():
    reasoner = ScriptedChatModel(replies=["because\nAnswer: 3", "no", "Answer: 4", "yes"])
    create_baseline("self_critique", reasoner, None, max_turns=2).invoke(QUESTION)
    assert [message.type for message in reasoner.asked[2]] == ["human", "ai", "human"]
    assert reasoner.asked[2][1].content == "because\nAnswer: 3"


@pytest.mark.parametrize(
    ("verdict", "score"), [("yes", 1.0), ("Yes, it is.", 1.0), ("no", 0.0), ("", 0.0), ("maybe", 0.0)]
)
def test_only_a_yes_is_a_yes(verdict, score):
    critic = SelfCritic(reasoner=ScriptedChatModel(replies=[AIMessage(verdict)]), prompts=Prompts())
    request = ScoreRequest("What is 2 + 2?", "because", "4", "", {})
    assert [found.score for found in critic.score([request])] == [score]


def test_best_of_n_needs_a_dm():
    with pytest.raises(ConfigError, match="needs a DM to choose by, got None"):
        create_baseline("best_of_n", ScriptedChatModel(replies=[]), None)


def test_an_unknown_baseline_names_the_known_ones():
    with pytest.raises(ConfigError, match="single_pass"):
        create_baseline("magic", ScriptedChatModel(replies=[]), None)
