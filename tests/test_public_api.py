"""The public names are what they say, and importing them is cheap."""

import subprocess
import sys

import pytest

import drr_agent


def test_every_public_name_is_there_once():
    assert len(set(drr_agent.__all__)) == len(drr_agent.__all__)
    for name in drr_agent.__all__:
        assert getattr(drr_agent, name) is not None


def test_public_names_are_listed():
    assert dir(drr_agent) == sorted(drr_agent.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        drr_agent.nonsense  # noqa: B018


@pytest.mark.parametrize("module", ["drr_agent", "drr_agent.graphs", "drr_agent.policy", "drr_agent.training"])
def test_importing_loads_neither_torch_nor_transformers(module):
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'transformers', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_command_line_loads_nothing_slow_before_it_is_ready_for_an_interrupt():
    slow = "('langchain_core', 'langgraph', 'pydantic', 'typer', 'rich')"
    code = f"import sys, drr_agent.cli; print([m for m in {slow} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
