"""Every event is JSON, of the shape that its type says, and nobody else's."""

import json

import pytest
from fakes import FailingDM, ScriptedChatModel, TableDM
from langchain_core.messages import AIMessage
from pydantic import ConfigDict, TypeAdapter

from drr_agent import Budget, ThresholdPolicy, create_drr_graph
from drr_agent.events import BudgetEvent, DecideEvent, DraftEvent, Event, ReviewEvent, ScoreEvent, ThinkEvent
from drr_agent.policy import Decision
from drr_agent.review import Escalate, Judge

QUESTION = {"messages": [("user", "What is 2 + 2?")]}
SHAPES = {
    "drr.think": ThinkEvent,
    "drr.draft": DraftEvent,
    "drr.score": ScoreEvent,
    "drr.decide": DecideEvent,
    "drr.budget": BudgetEvent,
    "drr.review": ReviewEvent,
}


class OddPolicy:
    """Gives a confidence of another library."""

    abstain_below = 0.0

    def decide(self, attempts):
        import numpy as np

        return Decision("accept" if len(attempts) > 1 else "continue", 0, np.float32(0.5))


class Doubts:
    """Has every answer reviewed."""

    abstain_below = 0.0

    def decide(self, attempts):
        return Decision("review", len(attempts) - 1, None)


YES, FOUR = ScriptedChatModel(replies=["yes"]), ScriptedChatModel(replies=["Answer: 4"])


def events_of(replies, dm, policy, **settings):
    graph = create_drr_graph(ScriptedChatModel(replies=replies), dm, policy=policy, drafts="channel", **settings)
    return list(graph.stream(QUESTION, stream_mode="custom"))


@pytest.mark.parametrize(
    ("replies", "dm", "policy", "settings"),
    [
        pytest.param(["Answer: 3", "Answer: 4"], TableDM({"3": 0.1, "4": 0.9}), ThresholdPolicy(), {}, id="scored"),
        pytest.param(["hm", TimeoutError("late")], None, ThresholdPolicy(), {"max_turns": 2}, id="no answer, no reply"),
        pytest.param(["Answer: 4"], FailingDM(ValueError("x")), ThresholdPolicy(), {"max_turns": 1}, id="no score"),
        pytest.param(["Answer: 4"] * 2, None, OddPolicy(), {}, id="a float of another library"),
        pytest.param(["Answer: 4"], None, ThresholdPolicy(), {"budget": Budget(max_calls=1)}, id="a budget"),
        pytest.param(
            ["Answer: 4"], None, ThresholdPolicy(), {"budget": Budget(max_usd=1), "max_turns": 1}, id="no price"
        ),
        pytest.param(["Answer: 4"], None, Doubts(), {"review": Judge(model=YES)}, id="a review"),
        pytest.param(["Answer: 4"], None, Doubts(), {"review": Escalate(reasoner=FOUR)}, id="an escalation"),
    ],
)
def test_events_are_json_of_their_shape(replies, dm, policy, settings):
    events = events_of(replies, dm, policy, **settings)
    assert {"drr.think", "drr.score", "drr.decide"} <= {event["type"] for event in events}
    for event in events:
        assert json.loads(json.dumps(event, allow_nan=False)) == event
        assert event.keys() == SHAPES[event["type"]].__annotations__.keys()
        TypeAdapter(Event, config=ConfigDict(strict=True)).validate_python(event)


def test_the_events_of_a_turn():
    replies = [AIMessage("so\nAnswer: 4")]
    events = events_of(replies, TableDM({"4": 0.9}), ThresholdPolicy(), budget=Budget(max_calls=2))
    judged = {"answer": "4", "score": 0.9, "error": None, "score_error": None}
    assert events == [
        {"type": "drr.think", "turn": 1, "feedback": "first"},
        {"type": "drr.draft", "turn": 1, "text": "so\nAnswer: 4"},
        {"type": "drr.score", "turn": 1, **judged},
        {"type": "drr.decide", "turn": 1, "best": "4", "confidence": 0.9, "stop_reason": "accepted"},
    ]
