"""What the page on shadow and canary shows runs, and what it lists is complete."""

import re
from pathlib import Path
from typing import get_args

import pytest
from fakes import ScriptedChatModel, TableDM

from drr_agent import create_drr_graph
from drr_agent.nodes.rollout import Mode

PAGE = (Path(__file__).parents[2] / "docs" / "rollout.md").read_text()
SHADOW, BACK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        pytest.param(SHADOW, "3 shadow continue", id="shadow"),
        pytest.param(BACK, "3 shadow", id="back to shadow"),
    ],
)
def test_what_the_page_shows(code, printed, tmp_path, capsys):
    scope = {
        "model": ScriptedChatModel(replies=["Answer: 3", "Answer: 4"]),
        "dm": TableDM({"3": 0.2, "4": 0.9}),
        "question": "What is 2 + 2?",
        "path": tmp_path / "runs.jsonl",
        "create_drr_graph": create_drr_graph,
    }
    exec(code, scope)
    assert capsys.readouterr().out.strip() == printed


def test_every_mode_is_listed():
    assert set(re.findall(r'^\| `"(\w+)"`', PAGE, re.MULTILINE)) == set(get_args(Mode))
