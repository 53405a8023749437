import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.dm.fusion import Evidence, Fusion, Term, fit_fusion
from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import auroc, within_question_auroc


def make_evidence(*, questions=150, seed=0, text=0.0, offset=0.0, signal=0.0, missing=0.0):
    """Four attempts a question: right ones have a higher logit by `text` and a higher signal by `signal`.

    `offset` is the spread of what the text says of a question as a whole; a right attempt's signal is `missing` with
    that probability.
    """
    random = np.random.default_rng(seed)
    rows, labels, groups = [], [], []
    for question in range(questions):
        shift = random.normal(0, 1) * offset
        for _ in range(4):
            right = bool(random.random() < 0.5)
            value = random.normal(signal * right, 1)
            absent = right and random.random() < missing
            rows.append(
                Evidence(
                    logit=shift + random.normal(text * right, 1),
                    signals={"value": None if absent else value, "constant": 3.0, "never": None},
                )
            )
            labels.append(right)
            groups.append(str(question))
    return rows, labels, groups


@pytest.mark.parametrize(
    ("inputs", "text", "signals"),
    [
        pytest.param("text", True, [], id="text"),
        pytest.param("signals", False, ["value"], id="signals"),
        pytest.param("both", True, ["value"], id="both"),
    ],
)
def test_inputs_are_settings_and_what_never_varies_is_left_out(inputs, text, signals):
    fusion = fit_fusion(*make_evidence(text=1.0, signal=1.0), inputs=inputs)
    assert (fusion.text is not None) == text
    assert [term.name for term in fusion.signals] == signals


def test_both_together_beat_each_alone_on_fresh_questions():
    settings = {"text": 1.0, "signal": 1.0}
    rows, labels, _ = make_evidence(seed=1, questions=600, **settings)
    fusions = {kind: fit_fusion(*make_evidence(**settings), inputs=kind) for kind in ("text", "signals", "both")}
    area = {kind: auroc([fusion.fuse(row) for row in rows], labels) for kind, fusion in fusions.items()}
    assert area["both"] > max(area["text"], area["signals"]) + 0.03


def test_pairs_keep_the_order_within_a_question_that_the_text_alone_knows():
    settings = {"text": 1.5, "offset": 3.0, "signal": 0.8}
    rows, labels, groups = make_evidence(seed=1, questions=600, **settings)

    def within(pair_weight):
        fusion = fit_fusion(*make_evidence(**settings), inputs="both", pair_weight=pair_weight)
        return within_question_auroc([fusion.fuse(row) for row in rows], labels, groups)

    assert within(0.5) > within(0.0) + 0.02


def test_a_missing_value_says_what_it_said_in_training():
    fusion = fit_fusion(*make_evidence(missing=0.6), inputs="signals")
    absent, typical = (fusion.fuse(Evidence(None, {"value": value})) for value in (None, 0.0))
    assert absent > typical + 2, "only right attempts lacked the value"


def test_a_value_that_was_never_missing_counts_as_typical_when_it_is():
    fusion = fit_fusion(*make_evidence(signal=1.0), inputs="signals")
    (term,) = fusion.signals
    typical = fusion.fuse(Evidence(None, {"value": term.unit * math.sinh(term.center)}))
    for absent in ({"value": None}, {}, {"value": math.nan}, {"unknown": 1.0}):
        assert fusion.fuse(Evidence(None, absent)) == pytest.approx(typical)


def test_one_wild_value_in_training_changes_little():
    rows, labels, groups = make_evidence(signal=1.0)
    wild = [Evidence(rows[0].logit, {"value": 1e9}), *rows[1:]]
    plain, touched = (fit_fusion(given, labels, groups, inputs="signals").signals[0] for given in (rows, wild))
    assert touched.weight == pytest.approx(plain.weight, rel=0.3)
    assert touched.scale == pytest.approx(plain.scale, rel=0.05)


def test_named_signals_alone_are_used():
    rows, labels, groups = make_evidence(signal=1.0)
    rows = [Evidence(row.logit, {**row.signals, "copy": row.signals["value"]}) for row in rows]
    assert [term.name for term in fit_fusion(rows, labels, groups, inputs="signals", signals=["copy"]).signals] == [
        "copy"
    ]


@given(value=st.floats(-1e6, 1e6), step=st.floats(0, 1e6), weight=st.floats(0, 10))
def test_a_term_rises_with_its_value_and_grows_slowly(value, step, weight):
    term = Term(name="value", unit=1.0, center=0.0, scale=1.0, weight=weight)
    assert term.part(value + step) >= term.part(value)
    assert abs(term.part(value)) <= 15 * weight


def test_a_fusion_survives_json():
    fusion = fit_fusion(*make_evidence(text=1.0, missing=0.3), inputs="both")
    assert Fusion.model_validate_json(fusion.model_dump_json()) == fusion


@pytest.mark.parametrize(
    ("change", "inputs", "message"),
    [
        pytest.param(lambda r, y: (r, [True] * len(y)), "both", "600 right and 0 wrong", id="one-class"),
        pytest.param(lambda r, y: ([Evidence(None, {}), *r[1:]], y), "both", "1 of 600 without", id="no-logit"),
        pytest.param(lambda r, y: ([Evidence(1.0, {"a": 1.0})] * len(r), y), "signals", "varies", id="flat"),
        pytest.param(lambda r, y: ([Evidence(1.0, {})] * len(r), y), "signals", "varies", id="no-signals"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, inputs, message):
    rows, labels, groups = make_evidence()
    rows, labels = change(rows, labels)
    with pytest.raises(DataError, match=message):
        fit_fusion(rows, labels, groups, inputs=inputs)
