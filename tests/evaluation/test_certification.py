"""What a certificate says of what was replayed or evaluated."""

import pytest
from dm.test_certificate import make_certificate
from fakes import TableDM

from drr_agent.evaluation.certification import Measured, certification
from drr_agent.policy import ConsensusPolicy, ThresholdPolicy

POLICY = ConsensusPolicy(threshold=0.9)
STOPPING = "StoppingPolicy(model=StoppingModel('{}'), worth=50.0, accept_at={})"


class Stopping:
    """Stands for a stopping policy, by its `repr`."""

    abstain_below = 0.0

    def __init__(self, model, accept_at=0.7):
        self.told = STOPPING.format(model, accept_at)

    def decide(self, attempts):
        raise AssertionError("nobody asks")

    def __repr__(self):
        return self.told


class CertifiedDM(TableDM):
    """A DM with certificates, as a saved one has them."""

    def __init__(self, *certificates):
        super().__init__({})
        self.manifest = type("Manifest", (), {"certificates": certificates})()

    digest = "d" * 12


def measured(**changes):
    known = {
        "policy": POLICY,
        "max_turns": 4,
        "reasoners": ["pocket"],
        "prompts": ["p" * 12],
        "feedback": ["fresh"],
    }
    return Measured(**{**known, **changes})


def certified(**changes):
    return make_certificate(**{"policy": repr(POLICY), **changes})


def test_what_was_certified_is_certified():
    found = certification(CertifiedDM(certified()), measured())
    assert found.certified
    assert found.told == (
        "Certified: at most 5 % of the accepted answers wrong, with 95 % confidence; this is what was certified."
    )


@pytest.mark.parametrize(
    ("certificate", "changes", "reasons"),
    [
        pytest.param({}, {"max_turns": 8}, ["runs have at most 8 turns here, and 4 turns there"], id="turns"),
        pytest.param({}, {"max_turns": 1}, ["runs have at most 1 turn here, and 4 turns there"], id="one turn"),
        pytest.param(
            {"policy": STOPPING.format("abc", 0.7)},
            {"policy": Stopping("def"), "logged_turns": 3},
            ["the log holds at most 3 turns, and it is of 4"],
            id="a log that is too short",
        ),
        pytest.param({}, {"policy": ThresholdPolicy()}, ["the policy is another one"], id="another kind of policy"),
        pytest.param({}, {"policy": ConsensusPolicy(threshold=0.8)}, ["the policy is another one"], id="a threshold"),
        pytest.param(
            {"policy": STOPPING.format("abc", 0.7)},
            {"policy": Stopping("def"), "max_turns": 3},
            ["runs have at most 3 turns here, and 4 turns there"],
            id="what it has learned for other turns",
        ),
        pytest.param(
            {"policy": STOPPING.format("abc", 0.7)},
            {"policy": Stopping("def", 0.6), "max_turns": 3},
            ["runs have at most 3 turns here, and 4 turns there", "the policy is another one"],
            id="turns and where it accepts",
        ),
        pytest.param(
            {"policy": STOPPING.format("abc", 0.7)},
            {"policy": Stopping("def")},
            ["the policy is another one"],
            id="what it has learned",
        ),
        pytest.param(
            {},
            {"reasoners": ["openai:b", "openai:a"]},
            ["the attempts are by openai:a and openai:b here, and by pocket there"],
            id="Reasoners",
        ),
        pytest.param({}, {"prompts": [None]}, ["the attempts were asked for with other prompts"], id="prompts"),
        pytest.param({}, {"feedback": ["history"]}, ["the feedback is history here, and fresh there"], id="feedback"),
        pytest.param({"dm": "e" * 12}, {}, ["the DM has changed"], id="the DM"),
        pytest.param(
            {"prompts": (None,)},
            {"prompts": [None]},
            ["it is of several or unknown Reasoners, prompts or kinds of feedback, and a graph runs one of each"],
            id="a mix, which no graph runs",
        ),
    ],
)
def test_what_differs_is_said(certificate, changes, reasons):
    found = certification(CertifiedDM(certified(**certificate)), measured(**changes))
    assert not found.certified
    assert found.told == (
        "Uncertified: the DM's certificate (at most 5 % of the accepted answers wrong) is not about this, since "
        f"{'; '.join(reasons)}."
    )


def test_of_several_the_nearest_counts():
    other, same = certified(max_turns=7, target_error=0.2), certified()
    for order in ((other, same), (same, other)):
        assert certification(CertifiedDM(*order), measured()).certified
    assert "(at most 20 % of" in certification(CertifiedDM(other, same), measured(max_turns=7, prompts=["q"])).told


@pytest.mark.parametrize("dm", [None, TableDM({}), CertifiedDM()], ids=["no DM", "one of one's own", "none yet"])
def test_without_a_certificate_nothing_is_said(dm):
    assert certification(dm, measured()) is None
