"""A graph says whether its DM's certificate is about it."""

import warnings
from contextlib import nullcontext

import pytest
from dm.test_certificate import make_certificate
from fakes import ScriptedChatModel, TableDM
from langchain_core.messages import AIMessage, HumanMessage
from stopping.models import stopping_model
from stopping.test_values import SHORTER

from drr_agent import ConfigError, ConsensusPolicy, Prompts, RunLog, ThresholdPolicy, create_drr_graph, read_runs
from drr_agent.dm.calibration import SigmoidCalibration
from drr_agent.dm.folder import load_dm, save_dm, set_consensus, update_manifest
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.terms import Term
from drr_agent.errors import UncertifiedWarning
from drr_agent.feedback import History

QUESTION = {"messages": [HumanMessage("What is 2 + 2?")]}
POLICY = ConsensusPolicy(threshold=0.6)
TERM = Term(name="answer_found", unit=1.0, center=0.0, scale=1.0, weight=3.0)


def save_certified(path):
    """A DM of signals that scores every answer high, with a certificate of its consensus for the scripted Reasoner."""
    manifest = DMManifest(
        inputs="signals",
        text=None,
        fusion=Fusion(text=None, signals=(TERM,), intercept=0.0, regularization=1.0),
        calibration=SigmoidCalibration(kind="temperature", slope=1.0, intercept=0.0),
        calibrated_on="calibration",
    )
    save_dm(path, manifest)
    set_consensus(path, {"threshold": POLICY.threshold})
    certificate = make_certificate(
        dm=load_dm(path).digest,
        policy=repr(POLICY),
        prompts=(Prompts().digest,),
        reasoners=("ScriptedChatModel",),
        threshold=POLICY.threshold,
    )
    update_manifest(path, certificates=(certificate,))
    return path


@pytest.fixture
def folder(tmp_path):
    return save_certified(tmp_path / "dm")


def model(*replies):
    return ScriptedChatModel(replies=[AIMessage(f"thinking\nAnswer: {reply}") for reply in replies or ("4",)])


def test_a_certified_run_says_so(folder, tmp_path):
    log = RunLog(path=tmp_path / "runs.jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = create_drr_graph(model(), load_dm(folder), run_log=log, on_uncertified="raise")
    run = graph.invoke(QUESTION)["drr"]
    assert run["accepted"]
    assert run["certified"] is True
    assert [logged["certified"] for logged in read_runs(log.path)] == [True]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({"max_turns": 2}, "`max_turns` .certified with 4, in use 2", id="turns"),
        pytest.param({"prompts": Prompts(instruction="Answer: <answer>")}, "the prompts", id="prompts"),
        pytest.param({"feedback": "history"}, "the feedback .certified with fresh, in use history", id="feedback"),
        pytest.param({"feedback": History(last=1)}, "the feedback", id="feedback of one's own setting"),
        pytest.param({"policy": ConsensusPolicy(threshold=0.5)}, "the policy", id="threshold"),
    ],
)
def test_another_setup_runs_uncertified_and_says_so(folder, settings, named):
    with pytest.warns(UncertifiedWarning, match=named) as caught:
        graph = create_drr_graph(model(), load_dm(folder), **settings)
    assert [warning.filename for warning in caught] == [__file__], "it points to who built the graph"
    assert graph.invoke(QUESTION)["drr"]["certified"] is False
    with pytest.raises(ConfigError, match=named):
        create_drr_graph(model(), load_dm(folder), on_uncertified="raise", **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_drr_graph(model(), load_dm(folder), on_uncertified="ignore", **settings)


def certify_for(folder, max_turns):
    manifest = load_dm(folder).manifest
    (certificate,) = manifest.certificates
    update_manifest(folder, certificates=(certificate.model_copy(update={"max_turns": max_turns}),))


@pytest.mark.parametrize(
    ("certified", "settings", "turns"),
    [
        pytest.param(2, {}, 2, id="as certified"),
        pytest.param(6, {}, 6, id="as certified, more than usual"),
        pytest.param(6, {"policy": ThresholdPolicy(threshold=0.99)}, 4, id="another policy, as usual"),
        pytest.param(6, {"max_turns": 3, "on_uncertified": "ignore"}, 3, id="as told"),
    ],
)
def test_turns_are_by_default_those_of_the_certificate(folder, certified, settings, turns):
    certify_for(folder, certified)
    reasoner = ScriptedChatModel(replies=[AIMessage("no answer")] * 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = create_drr_graph(reasoner, load_dm(folder), **settings).invoke(QUESTION)["drr"]
    assert len(run["attempts"]) == turns
    assert run["certified"] is (settings == {})


def test_without_a_certificate_there_are_four_turns():
    reasoner = ScriptedChatModel(replies=[AIMessage("no answer")] * 6)
    assert len(create_drr_graph(reasoner, TableDM({})).invoke(QUESTION)["drr"]["attempts"]) == 4


def test_a_warning_about_turns_names_both_numbers(folder):
    certify_for(folder, 8)
    with pytest.warns(UncertifiedWarning, match=r"`max_turns` \(certified with 8, in use 4"):
        create_drr_graph(model(), load_dm(folder), max_turns=4)


def test_a_policy_that_goes_by_turns_is_not_named_beside_them(folder):
    update_manifest(folder, stopping={"model": stopping_model(values=SHORTER)})
    dm = load_dm(folder)
    (certificate,) = dm.manifest.certificates
    about = certificate.depends_on.model_copy(update={"policy": repr(dm.stopping.within(3))})
    update_manifest(folder, certificates=(certificate.model_copy(update={"max_turns": 3, "depends_on": about}),))
    with pytest.warns(UncertifiedWarning) as caught:
        create_drr_graph(model(), load_dm(folder), max_turns=4)
    assert "is about: `max_turns` (certified with 3, in use 4; pass max_turns=3). Restore" in str(caught[0].message)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"calibration": {"kind": "platt", "slope": 0.5, "intercept": 0.0}}, id="calibration"),
        pytest.param(
            {"fusion": {"text": None, "signals": (TERM,), "intercept": 0.5, "regularization": 1.0}}, id="fusion"
        ),
    ],
)
def test_a_dm_that_scores_otherwise_is_another(folder, change):
    update_manifest(folder, **change)
    with pytest.warns(UncertifiedWarning, match="the DM"):
        create_drr_graph(model(), load_dm(folder))


def test_a_changed_stored_threshold_is_another_policy(folder):
    set_consensus(folder, {"threshold": 0.5})
    with pytest.warns(UncertifiedWarning, match="the policy"):
        create_drr_graph(model(), load_dm(folder))


def test_another_reasoner_is_named(folder):
    class OtherChatModel(ScriptedChatModel):
        pass

    with pytest.warns(UncertifiedWarning, match=r"the Reasoner .*ScriptedChatModel, in use OtherChatModel"):
        create_drr_graph(OtherChatModel(replies=[]), load_dm(folder))


def test_another_kind_of_policy_is_chosen_on_purpose(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = create_drr_graph(model(), load_dm(folder), policy=ThresholdPolicy(threshold=0.5))
    assert graph.invoke(QUESTION)["drr"]["certified"] is False


@pytest.mark.parametrize(
    ("on_uncertified", "expected"),
    [
        pytest.param("warn", nullcontext(), id="nothing was promised"),
        pytest.param(
            "raise", pytest.raises(ConfigError, match="a DM with a certificate, got one without"), id="required"
        ),
    ],
)
def test_without_a_certificate(on_uncertified, expected):
    with expected:
        graph = create_drr_graph(model(), TableDM({"4": 0.9}), on_uncertified=on_uncertified)
        assert "certified" not in graph.invoke(QUESTION)["drr"]
