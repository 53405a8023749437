"""What the Reasoner is told after a rejection, as a table of the attempts before it."""

import pytest
from fakes import make_attempt
from langchain_core.messages import AIMessage, HumanMessage

from drr_agent.errors import ConfigError
from drr_agent.feedback import Contrast, History, get_feedback, next_ask
from drr_agent.prompts import Prompts

PROMPTS = Prompts()
QUESTION = HumanMessage("What is 2 + 2?")
ASKED = PROMPTS.ask(QUESTION)


def told(feedback, *attempts):
    ask = next_ask(get_feedback(feedback), PROMPTS, QUESTION, attempts)
    return ask.kind, ask.messages


@pytest.mark.parametrize(
    ("feedback", "attempts", "kind"),
    [
        pytest.param("history", [], "first", id="nothing to tell yet"),
        pytest.param("fresh", [make_attempt("3")], "fresh", id="an independent draw"),
        pytest.param("history", [make_attempt(None, rationale="")], "fresh", id="an empty reply is not sent back"),
        pytest.param("history", [make_attempt(None, truncated=True)], "fresh", id="nor one that was cut off"),
    ],
)
def test_the_question_alone(feedback, attempts, kind):
    assert told(feedback, *attempts) == (kind, [ASKED])


def test_history_shows_the_newest_rejections_in_order():
    attempts = [make_attempt(str(n), rationale=f"try {n}") for n in range(5)]
    shown = [text for n in (2, 3, 4) for text in (AIMessage(f"try {n}\nAnswer: {n}"), HumanMessage(PROMPTS.wrong))]
    assert told(History(last=3), *attempts) == ("history", [ASKED, *shown])


def test_contrast_names_each_rejected_answer_once():
    kind, (message,) = told(
        Contrast(), *(make_attempt(answer) for answer in ("3", "5", "3", None, "{x}")), make_attempt()
    )
    assert kind == "contrast"
    assert "rejected: 3, 5, {x}, 1." in message.content


def test_a_reply_without_an_answer_is_nudged():
    kind, messages = told("fresh", make_attempt("3"), make_attempt(None, rationale="well"))
    assert (kind, messages) == ("no_answer", [ASKED, AIMessage("well"), HumanMessage(PROMPTS.no_answer)])


def test_an_unknown_feedback_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"must be one of fresh, history, contrast or a Feedback, got 'shout'"):
        get_feedback("shout")
