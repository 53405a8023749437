"""What signals are worth: what is lost when their values are dealt to other attempts."""

import math
import random

import numpy as np
import pytest
from replay.logs import SignalDM as PlainDM
from replay.logs import make_log

from drr_agent.dm.calibration import IsotonicCalibration, SigmoidCalibration, log_loss
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.manifest import ConsensusRecord, DMManifest, StoppingRecord, TextRecord
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.terms import Term
from drr_agent.evaluation.metrics import within_question_auroc
from drr_agent.grading import AUTO
from drr_agent.replay import importance, policy_losses
from drr_agent.replay.evidence import TEXT, Evidence
from drr_agent.replay.importance import signal_values
from drr_agent.replay.likeness import alike
from drr_agent.replay.paths import end
from drr_agent.replay.policy_losses import accuracy_of, some_questions
from drr_agent.replay.readings import Readings
from drr_agent.replay.scores import score_rows
from drr_agent.replay.specs import Frame
from drr_agent.replay.worth import Scored, worth_of_scores
from drr_agent.stopping import StoppingModel
from drr_agent.training.logged import label_questions
from drr_agent.training.stopping import fit_stopping

PLATT = SigmoidCalibration(kind="platt", slope=1.3, intercept=-0.2)
ISOTONIC = IsotonicCalibration(logits=(-3.0, 0.0, 2.0), probabilities=(0.1, 0.4, 0.9))


class Classifier:
    """A text classifier that reads what a signal says, with some noise."""

    def logits(self, requests):
        return [6 * request.signals["p"] - 3 + random.Random(request.rationale).gauss(0, 1) for request in requests]


def term(name, weight, *, missing=0.0):
    return Term(name=name, unit=1.0, center=0.0, scale=1.0, weight=weight, missing=missing)


def make_dm(terms=(), *, text=None, calibration=PLATT, **changes):
    """A DM of some terms; with `text`, of a classifier too, alone where there are no terms."""
    fusion = Fusion(text=text, signals=tuple(terms), intercept=-1.0, regularization=1.0) if terms else None
    reads = text is not None or not terms
    manifest = DMManifest(
        inputs="text" if not terms else "both" if reads else "signals",
        text=TextRecord(template_digest="0" * 12, max_length=64, backbone="tiny") if reads else None,
        fusion=fusion,
        calibration=calibration,
        calibrated_on="calibration",
        **changes,
    )
    if reads:
        return TransformersDM(manifest=manifest, digest="1" * 12, classifier=Classifier())
    return SignalDM(manifest=manifest, digest="1" * 12)


def rows_with(questions=80, *, seed=0, draws=5, **more):
    """Draws with the signal `p`, which tells right from wrong, and others made of it."""
    generator = random.Random(seed)
    rows = make_log(questions, seed=seed, draws=draws)
    for number, row in enumerate(rows):
        row["rationale"] = f"rationale {number}"
        p = row["signals"]["p"]
        row["signals"] = {"p": p, **{name: make(p, generator) for name, make in more.items()}}
    return rows


def noise(p, generator):
    return generator.gauss(0, 1)


def readings_of(rows, dm, **changes):
    questions = label_questions(rows, score_rows(rows, dm, progress=False)).questions
    return Readings.of(questions, max_turns=5, **changes)


def values_of(rows, dm, *, policy=False, **changes):
    candidate = Frame(dm=dm, grader=AUTO, max_turns=5).candidate("drr") if policy else None
    found = signal_values(readings_of(rows, dm), dm, candidate, **changes)
    return {value.name: value for value in found}


def test_what_tells_right_from_wrong_is_worth_most_and_what_does_not_nothing():
    dm = make_dm([term("unread", 0.0), term("noise", 0.1), term("p", 6.0)])
    found = values_of(rows_with(noise=noise, unread=noise, other=noise), dm, policy=True)
    assert next(iter(found)) == "p"
    assert set(found) == {"p", "noise", "unread"}, "what the DM does not read is not among them"
    p, unread = found["p"], found["unread"]
    assert p.auroc.low > 0.3
    assert p.log_loss.low > 0.2
    assert p.accuracy.mean > 0.05
    assert p.auroc.low < p.auroc.mean < p.auroc.high
    assert (unread.auroc.mean, unread.log_loss.mean, unread.accuracy.mean) == (0.0, 0.0, 0.0)
    assert abs(found["noise"].auroc.mean) < 0.02


@pytest.mark.parametrize(
    "dm",
    [
        pytest.param(make_dm([term("p", 4.0), term("noise", 0.2)]), id="signals"),
        pytest.param(make_dm([term("p", 4.0)], calibration=ISOTONIC), id="isotonic"),
        pytest.param(make_dm([term("p", 2.0), term("sparse", 1.0, missing=-0.7)]), id="missing values"),
        pytest.param(make_dm([term("p", 2.0)], text=term("logit", 0.8)), id="both"),
        pytest.param(make_dm(), id="text"),
    ],
)
def test_nothing_is_lost_when_each_attempt_keeps_its_values(dm):
    """The scores are made again as the DM made them, and the measures are those of the record."""
    rows = rows_with(40, noise=noise, sparse=lambda p, generator: p if generator.random() < 0.5 else None)
    readings = readings_of(rows, dm)
    scored = Scored.of(readings.questions)
    evidence = Evidence.of(readings, dm)
    scores = evidence.scores(evidence.logits)
    assert scores == pytest.approx([attempt["score"] for attempt in scored.attempts])
    assert evidence.logits == pytest.approx([attempt["logit"] for attempt in scored.attempts])
    assert evidence.auroc(scores) == pytest.approx(worth_of_scores(readings)[0].within_question_auroc)
    for name in evidence.values:
        assert evidence.dealt([name], np.arange(len(scores))) == pytest.approx(evidence.logits)


def test_a_loss_is_that_of_attempts_with_each_others_values():
    """By hand: the DM scores the attempts anew with the values dealt."""
    dm = make_dm([term("p", 4.0), term("noise", 0.5)])
    readings = readings_of(rows_with(40, noise=noise), dm)
    scored = Scored.of(readings.questions)
    order = Evidence.of(readings, dm, seed=3).orders[0]
    fusion, before = dm.manifest.fusion, np.array([attempt["score"] for attempt in scored.attempts])
    dealt = [
        {**attempt["signals"], "p": scored.attempts[other]["signals"]["p"]}
        for attempt, other in zip(scored.attempts, order, strict=True)
    ]
    logits = [-1.0 + sum(term.part(signals[term.name]) for term in fusion.signals) for signals in dealt]
    after = np.array([PLATT.probability(logit) for logit in logits])
    lost = [within_question_auroc(scores, scored.right, scored.keys) for scores in (before, after)]
    (value,) = (one for one in signal_values(readings, dm, None, seed=3) if one.name == "p")
    assert value.auroc.low <= lost[0] - lost[1] + 1e-12 <= value.auroc.high + 2e-12
    found = log_loss(after, scored.right) - log_loss(before, scored.right)
    assert value.log_loss.low <= found + 1e-12 <= value.log_loss.high + 2e-12


def test_the_text_is_one_of_the_signals():
    both = values_of(rows_with(), make_dm([term("p", 0.5)], text=term("logit", 2.0)), policy=True)
    assert next(iter(both)) in {TEXT, f"{TEXT} and its like"}
    assert both[TEXT].auroc.low > both["p"].auroc.high
    alone = values_of(rows_with(), make_dm(), policy=True)
    assert list(alone) == [TEXT]
    assert alone[TEXT].accuracy.mean > 0


def test_signals_that_stand_in_for_each_other_are_dealt_together_too():
    rows = rows_with(noise=noise, twin=lambda p, _: p + 0.001, reverse=lambda p, _: -p)
    dm = make_dm([term("p", 2.0), term("twin", 2.2), term("reverse", -2.0), term("noise", 0.1)])
    found = values_of(rows, dm)
    together = found["twin and its like"]
    assert next(iter(found)) == "twin and its like"
    assert together.members == ["p", "twin", "reverse"]
    assert together.auroc.low > 0.3
    assert together.auroc.mean > 2 * max(found[name].auroc.mean for name in together.members)


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        pytest.param({"a": [1, 2, 3, 4, 5], "b": [2, 4, 6, 8, 10]}, [["a", "b"]], id="alike"),
        pytest.param({"a": [1, 2, 3, 4, 5], "b": [9, 8, 7, 5, 1]}, [["a", "b"]], id="opposite"),
        pytest.param({"a": [1, 2, 3, 4, 5], "b": [3, 1, 5, 1, 3]}, [], id="unlike"),
        pytest.param({"a": [1, 1, 1, 1, 1], "b": [1, 1, 1, 1, 1]}, [], id="constant"),
        pytest.param({"a": [math.nan] * 5, "b": [1, 2, 3, 4, 5]}, [], id="never known"),
        pytest.param({"a": [1, 2, math.nan, 4, 5], "b": [1, 2, 3, 4, 5]}, [["a", "b"]], id="missing in part"),
        pytest.param({"a": [1.0, 2.0]}, [], id="one"),
        pytest.param({}, [], id="none"),
    ],
)
def test_what_is_alike(columns, groups):
    assert alike({name: np.array(values, dtype=float) for name, values in columns.items()}) == groups


@pytest.mark.parametrize("consensus", [None, ConsensusRecord(threshold=0.8)], ids=["default", "calibrated"])
def test_the_accuracy_that_is_lost_is_the_policys_own(consensus):
    """What it is without a permutation is what the policy comes to on the questions' own orders."""
    dm = make_dm([term("p", 4.0)], consensus=consensus)
    readings = readings_of(rows_with(60), dm, orders="logged")
    family, setting = policy = Frame(dm=dm, grader=AUTO, max_turns=5).candidate("drr")
    ends = end(family.walk(readings), setting, readings)
    own = some_questions(readings_of(rows_with(60), dm), 0)
    assert accuracy_of(policy, own) == pytest.approx((ends.right * readings.weights).sum() / readings.weights.sum())


def test_a_policy_that_reads_signals_by_itself_loses_them_too(monkeypatch):
    rows = rows_with(60, draws=3, other=lambda p, _: p)
    first = make_dm([term("noise", 0.5)])
    rows = [{**row, "signals": {**row["signals"], "noise": random.Random(row["id"]).gauss(0, 1)}} for row in rows]
    model = fit_stopping(label_questions(rows, score_rows(rows, first, progress=False)).questions)
    assert isinstance(model, StoppingModel)
    monkeypatch.setattr(importance, "_MOST", 2)
    dm = make_dm([term("noise", 0.5)], stopping=StoppingRecord(model=model))
    found = values_of(rows, dm, policy=True)
    told = next(value for name, value in found.items() if set(value.members) >= {"p", "other"})
    assert told.auroc.mean == 0.0, "the score does not read it"
    assert told.accuracy.low > 0, "the policy does"


def test_the_policy_is_replayed_for_the_most_valuable_alone(monkeypatch):
    monkeypatch.setattr(importance, "_MOST", 1)
    monkeypatch.setattr(policy_losses, "MOST_QUESTIONS", 7)
    found = values_of(rows_with(40, noise=noise), make_dm([term("noise", 0.1), term("p", 6.0)]), policy=True)
    assert [value.accuracy is None for value in found.values()] == [False, True]


def test_values_are_seeded():
    dm, rows = make_dm([term("p", 4.0), term("noise", 0.5)]), rows_with(40, noise=noise)
    one, same, other = (values_of(rows, dm, policy=True, seed=seed) for seed in (1, 1, 2))
    assert one == same != other


def test_without_mixed_questions_order_is_worth_nothing():
    rows = make_log(60, skills=(0.0, 1.0))
    found = values_of(rows, make_dm([term("p", 4.0)]))
    assert found["p"].auroc is None
    assert found["p"].log_loss.low > 0


@pytest.mark.parametrize(
    "dm", [pytest.param(None, id="no DM"), pytest.param(PlainDM(), id="a DM that says nothing of its parts")]
)
def test_of_other_scores_nobody_knows_what_they_are_made_of(dm):
    rows = make_log(10)
    readings = readings_of(rows, PlainDM())
    assert signal_values(readings, dm, None) == []


def test_text_and_signals_alone_stand_beside_the_score():
    rows = rows_with(80, noise=noise)
    dm = make_dm([term("noise", 1.0)], text=term("logit", 2.0))
    readings = readings_of(rows, dm)
    found = worth_of_scores(readings, dm)[0].within_question_auroc_of
    assert found["text alone"] > 0.8 > 0.6 > found["signals alone"] > 0.4
    assert worth_of_scores(readings)[0].within_question_auroc_of.keys() == {"text alone"}
    signals = make_dm([term("p", 1.0)])
    assert worth_of_scores(readings_of(rows, signals), signals)[0].within_question_auroc_of == {}


def test_reliability_before_calibration_is_of_the_fused_logit():
    dm = make_dm([term("p", 4.0)], calibration=SigmoidCalibration(kind="platt", slope=0.1, intercept=0.0))
    rows = rows_with(60)
    worth = worth_of_scores(readings_of(rows, dm), dm)[0]
    said = [one.mean_probability for one in worth.reliability_before]
    logits = [-1.0 + 4.0 * math.asinh(row["signals"]["p"]) for row in rows]
    assert min(said) == pytest.approx(1 / (1 + math.exp(-min(logits))), abs=0.07)
    assert max(said) == pytest.approx(1 / (1 + math.exp(-max(logits))), abs=0.07)
    assert max(one.mean_probability for one in worth.reliability) < 0.6
