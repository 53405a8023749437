"""A classifier's logits over what signals say."""

import pytest
from dm.test_fusion import make_evidence
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.dm.fusion import Evidence, Fusion, fit_fusion
from drr_agent.dm.stacking import Stack, fit_stack
from drr_agent.dm.terms import Bend, Term
from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import auroc


def stacked(settings, *, fresh, pair_weight=1.0):
    """Signals and a stack, each learned on questions of its own; both together on fresh ones, and what they say."""
    signals = fit_fusion(*make_evidence(seed=10, **settings))
    rows, labels, groups = make_evidence(seed=11, **settings)
    logits, parts = [row.logit for row in rows], [signals.fuse(row) for row in rows]
    stack = fit_stack(logits, parts, labels, groups, pair_weight=pair_weight)
    return signals, stack, [stack.over(signals).fuse(row) for row in fresh]


def test_both_together_beat_each_alone_on_fresh_questions():
    rows, labels, _ = make_evidence(seed=1, questions=600, text=1.0, signal=1.0)
    signals, _, both = stacked({"text": 1.0, "signal": 1.0}, fresh=rows)
    alone = max(auroc([row.logit for row in rows], labels), auroc([signals.fuse(row) for row in rows], labels))
    assert auroc(both, labels) > alone + 0.03


def test_pairs_hear_a_text_that_tells_attempts_apart_and_not_questions():
    settings = {"text": 1.5, "offset": 3.0, "signal": 0.8}
    found = [stacked(settings, fresh=(), pair_weight=pair_weight)[1] for pair_weight in (0.0, 1.0)]
    alone, paired = (stack.text.weight / stack.weight for stack in found)
    assert paired > 1.1 * alone


def test_signals_count_less_beside_a_text_that_knows_what_they_know():
    """A copy of the signal as text: of the two, together, no more may come than of one."""
    rows, labels, groups = make_evidence(signal=1.5)
    signals = fit_fusion(rows, labels, groups)
    parts = [signals.fuse(row) for row in rows]
    stack = fit_stack(parts, parts, labels, groups)
    assert 0 <= stack.weight < 1


@pytest.mark.parametrize(
    ("text", "signal", "heard"),
    [
        pytest.param(-1.0, 1.0, (False, True), id="text against"),
        pytest.param(1.0, -1.0, (True, False), id="signals against"),
        pytest.param(1.0, 1.0, (True, True), id="both for"),
    ],
)
def test_what_speaks_against_right_attempts_is_not_heard(text, signal, heard):
    rows, labels, groups = make_evidence(text=text, signal=signal)
    stack = fit_stack([row.logit for row in rows], [row.signals["value"] or 0.0 for row in rows], labels, groups)
    assert (stack.text.weight > 0, stack.weight > 0) == heard
    assert min(stack.text.weight, stack.weight) >= 0


def test_a_choice_is_taken_over():
    rows, labels, groups = make_evidence(text=1.0, signal=1.0)
    given_rows = [row.logit for row in rows], [row.signals["value"] or 0.0 for row in rows], labels, groups
    like = fit_stack(*given_rows)._replace(regularization=0.03)
    assert fit_stack(*given_rows, like=like).regularization == 0.03


def test_a_text_that_says_the_same_of_all_is_none():
    rows, labels, groups = make_evidence(signal=1.0)
    assert fit_stack([0.5] * len(rows), [row.signals["value"] for row in rows], labels, groups).text is None


def test_one_class_is_refused():
    with pytest.raises(DataError, match="2 right and 0 wrong"):
        fit_stack([0.1, 0.2], [0.1, 0.2], [True, True], ["a", "b"])


NUMBERS = st.none() | st.floats(-1e4, 1e4)


@given(logit=NUMBERS, value=NUMBERS, weight=st.floats(0, 10))
def test_the_fusion_says_what_the_stack_says(logit, value, weight):
    term = Term(
        name="value", unit=2.0, center=0.3, scale=0.7, weight=1.5, bends=(Bend(at=0.2, weight=-1.0),), missing=-0.4
    )
    signals = Fusion(text=None, signals=(term,), intercept=0.5, regularization=1.0)
    text = Term(name="logit", unit=1.0, center=0.1, scale=2.0, weight=0.8)
    stack, row = Stack(text, weight, -0.2, 1.0), Evidence(logit, {"value": value})
    assert stack.over(signals).fuse(row) == pytest.approx(stack.stack(logit, signals.fuse(row)))
