"""What the page on review shows runs."""

import re
from pathlib import Path

import pytest
from fakes import ScriptedChatModel, TableDM

from drr_agent.policy import Decision

PAGE = (Path(__file__).parents[2] / "docs" / "review.md").read_text()
ESCALATE, HUMAN, JUDGE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


class Doubts:
    abstain_below = 0.0

    def decide(self, attempts):
        score = attempts[-1]["score"]
        return Decision("accept" if score >= 0.8 else "review", len(attempts) - 1, score)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        pytest.param(ESCALATE, ["4 review True escalation"], id="escalate"),
        pytest.param(
            HUMAN,
            ["What is 2 + 2? 3 ['P(right) is 0.30'] ['3']", "4 True incorrect human"],
            id="human",
        ),
        pytest.param(JUDGE, ["True judge:ScriptedChatModel 2"], id="judge"),
    ],
)
def test_what_the_page_shows(code, printed, capsys):
    scope = {
        "model": ScriptedChatModel(replies=["Answer: 3"]),
        "strong_model": ScriptedChatModel(replies=["Answer: 4"]),
        "judge_model": ScriptedChatModel(replies=["yes"]),
        "dm": TableDM({"3": 0.3, "4": 0.9}),
        "policy": Doubts(),
        "question": "What is 2 + 2?",
    }
    exec(code, scope)
    assert capsys.readouterr().out.splitlines() == printed
