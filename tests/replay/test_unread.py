"""Which signals a log lacks, and which may be missing by right."""

import pytest
from replay.logs import make_log
from stopping.models import answer_model, stopping_model, term

from drr_agent.dm.calibration import SigmoidCalibration
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.models import SignalDM
from drr_agent.replay.unread import Unread

SOMETIMES = -0.3
"""What a missing value adds, where some attempts of the training lacked it."""


def dm_of(*terms):
    fusion = Fusion(text=None, signals=terms, intercept=0.0, regularization=1.0)
    calibration = SigmoidCalibration(kind="platt", slope=1.0, intercept=0.0)
    manifest = DMManifest(
        inputs="signals", text=None, fusion=fusion, calibration=calibration, calibrated_on="calibration"
    )
    return SignalDM(manifest=manifest, digest="5" * 12)


def log_of(logprobs=None, **signals):
    return [{**row, "logprobs": logprobs, "signals": {"p": 0.5, **signals}} for row in make_log(3)]


@pytest.mark.parametrize(
    ("rows", "read", "lacked"),
    [
        pytest.param(log_of(), term("p", 1.0), [], id="there"),
        pytest.param(log_of(length=None), term("length", 1.0), ["length"], id="always there in training"),
        pytest.param(log_of(stated=None), term("stated", 1.0, SOMETIMES), [], id="rare in training, too"),
        pytest.param(log_of(), term("mine", 1.0, SOMETIMES), ["mine"], id="nobody computed it"),
        pytest.param(
            log_of(logprob_mean=None), term("logprob_mean", 1.0, SOMETIMES), ["logprob_mean"], id="no logprobs"
        ),
        pytest.param(
            log_of([-0.1], logprob_mean=None), term("logprob_mean", 1.0, SOMETIMES), [], id="logprobs that say nothing"
        ),
    ],
)
def test_what_a_log_lacks(rows, read, lacked):
    assert Unread.of(rows, dm_of(read)) == Unread(lacked, [])
    best = read.model_copy(update={"name": f"best.{read.name}"})
    stopping = stopping_model(answer_model(term("best", 1.0), best))
    assert Unread.of(rows, None, [stopping]) == Unread([], lacked)
    assert Unread.of(rows, dm_of(read), [stopping]) == Unread(lacked, []), "told once"


def test_one_attempt_that_has_it_is_enough():
    rows = log_of(length=None)
    rows[4]["signals"]["length"] = 2.0
    assert Unread.of(rows, dm_of(term("length", 1.0))) == Unread([], [])
