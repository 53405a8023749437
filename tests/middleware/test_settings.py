"""What can be set, and what cannot; certificates; the import."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from fakes import TableDM
from langchain.agents import create_agent
from middleware.agents import (
    TABLE,
    AgentModel,
    in_thread,
    make_agent,
    run_of,
)

from drr_agent import ConfigError, ThresholdPolicy
from drr_agent.dm.certificate import Certificate, Dependencies
from drr_agent.errors import UncertifiedWarning
from drr_agent.middleware import AGENT_PROMPTS, DRRMiddleware
from drr_agent.policy import BestScorePolicy


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_turns": 0}, "`max_turns` must be a whole number"),
        ({"drafts": "live"}, "`drafts` must be hidden or visible, got 'live'"),
        ({"feedback": "scold"}, "`feedback` must be one of"),
        ({"parser": "structured"}, "`parser` must read a message, got structured"),
        ({"policy": BestScorePolicy(abstain_below=0.5)}, "got abstain_below=0.5"),
        ({"dm": "a folder"}, "`dm` must have `digest` and `score`"),
        ({"on_uncertified": "raise", "reasoner": "mine"}, "expected a DM with a certificate"),
    ],
    ids=["turns", "drafts", "feedback", "parser", "abstains", "dm", "uncertified"],
)
def test_settings_that_cannot_work(settings, said):
    with pytest.raises(ConfigError, match=said):
        DRRMiddleware(**{"dm": TableDM(TABLE), **settings})


def certified_dm():
    """Its certificate is about an agent called `sums`, in three turns."""
    dm = TableDM(TABLE)
    about = Dependencies(
        dm=dm.digest,
        policy=repr(ThresholdPolicy()),
        prompts=(AGENT_PROMPTS.digest,),
        reasoners=("sums",),
        feedback=("fresh",),
        dataset=None,
    )
    shares = {"target_error": 0.05, "confidence": 0.95, "threshold": 0.5, "coverage": 0.6, "coverage_ci": (0.5, 0.7)}
    counts = {"accepted": 240, "wrong": 5, "questions": 400, "max_turns": 3, "tried": 9}
    certificate = Certificate(**shares, **counts, error_bound=0.04, judged_share=0.0, depends_on=about)
    dm.manifest = SimpleNamespace(certificates=(certificate,), signals=())
    return dm


def test_a_run_says_whether_it_is_certified():
    agent, _ = make_agent("4", dm=certified_dm(), reasoner="sums", max_turns=3)
    in_thread(agent)
    assert run_of(agent)["certified"] is True
    other, _ = make_agent("4", dm=certified_dm(), max_turns=3)
    with pytest.warns(UncertifiedWarning, match=r"the Reasoner \(certified with sums, in use AgentModel\)"):
        in_thread(other)
    assert run_of(other)["certified"] is False


def test_turns_are_by_default_those_of_the_certificate():
    dm = certified_dm()
    dm.consensus = ThresholdPolicy()
    agent, model = make_agent("3", "3", "3", dm=dm, reasoner="sums", policy=None)
    in_thread(agent)
    assert len(model.asked) == 3


def test_feedback_of_one_s_own_is_the_graph_s():
    class Scold:
        def ask(self, prompts, question, rejected):
            raise AssertionError

    with pytest.raises(ConfigError, match="got Scold; for a strategy of your own use `create_drr_graph`"):
        DRRMiddleware(dm=None, feedback=Scold())


@pytest.mark.parametrize("drafts", [("hidden", "hidden"), ("hidden", "visible")], ids="/".join)
def test_an_agent_takes_one_of_them(drafts):
    both = [DRRMiddleware(dm=None, drafts=form) for form in drafts]
    with pytest.raises(AssertionError, match="remove duplicate middleware"):
        create_agent(AgentModel(replies=[]), [], middleware=both)


def test_without_langchain_the_import_says_what_to_install():
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "import drr_agent\n"
        "try:\n    from drr_agent.middleware import DRRMiddleware\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("MissingExtraError")
    assert "pip install 'drr-agent[agents]'" in said


def test_the_package_alone_loads_no_langchain():
    code = "import sys, drr_agent; print('langchain' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
