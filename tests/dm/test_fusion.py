import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.dm.fusion import Evidence, Fusion, fit_columns, fit_fusion
from drr_agent.dm.terms import Bend, Term
from drr_agent.errors import DataError


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


def test_what_never_varies_is_left_out():
    fusion = fit_fusion(*make_evidence(text=1.0, signal=1.0))
    assert [term.name for term in fusion.signals] == ["value"]
    assert fusion.text is None


def test_a_missing_value_says_what_it_said_in_training():
    fusion = fit_fusion(*make_evidence(missing=0.6))
    absent, typical = (fusion.fuse(Evidence(None, {"value": value})) for value in (None, 0.0))
    assert absent > typical + 2, "only right attempts lacked the value"


def test_a_value_that_was_never_missing_counts_as_typical_when_it_is():
    fusion = fit_fusion(*make_evidence(signal=1.0))
    (term,) = fusion.signals
    typical = fusion.fuse(Evidence(None, {"value": term.unit * math.sinh(term.center)}))
    for absent in ({"value": None}, {}, {"value": math.nan}, {"unknown": 1.0}):
        assert fusion.fuse(Evidence(None, absent)) == pytest.approx(typical)


def test_one_wild_value_in_training_changes_little():
    rows, labels, groups = make_evidence(signal=1.0)
    wild = [Evidence(rows[0].logit, {"value": 1e9}), *rows[1:]]
    plain, touched = (fit_fusion(given, labels, groups).signals[0] for given in (rows, wild))
    assert touched.weight == pytest.approx(plain.weight, rel=0.3)
    assert touched.scale == pytest.approx(plain.scale, rel=0.05)


def test_named_signals_alone_are_used():
    rows, labels, groups = make_evidence(signal=1.0)
    rows = [Evidence(row.logit, {**row.signals, "copy": row.signals["value"]}) for row in rows]
    assert [term.name for term in fit_fusion(rows, labels, groups, signals=["copy"]).signals] == ["copy"]


@given(value=st.floats(-1e6, 1e6), step=st.floats(0, 1e6), weight=st.floats(0, 10))
def test_a_term_rises_with_its_value_and_grows_slowly(value, step, weight):
    term = Term(name="value", unit=1.0, center=0.0, scale=1.0, weight=weight)
    assert term.part(value + step) >= term.part(value)
    assert abs(term.part(value)) <= 15 * weight


def test_a_fusion_survives_json():
    fusion = fit_fusion(*make_evidence(missing=0.3))
    assert Fusion.model_validate_json(fusion.model_dump_json()) == fusion


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda r, y: (r, [True] * len(y)), "600 right and 0 wrong", id="one-class"),
        pytest.param(lambda r, y: ([Evidence(1.0, {"a": 1.0})] * len(r), y), "varies", id="flat"),
        pytest.param(lambda r, y: ([Evidence(1.0, {})] * len(r), y), "varies", id="no-signals"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    rows, labels, groups = make_evidence()
    rows, labels = change(rows, labels)
    with pytest.raises(DataError, match=message):
        fit_fusion(rows, labels, groups)


VALUES = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
def test_columns_are_fused_as_rows_are(rows):
    terms = (
        Term(name="a", unit=2.0, center=0.3, scale=0.7, weight=1.5, missing=-0.4),
        Term(
            name="b",
            unit=0.1,
            center=-1.0,
            scale=3.0,
            weight=-0.8,
            bends=(Bend(at=-0.5, weight=1.0), Bend(at=1.0, weight=-2.0)),
        ),
        Term(name="absent", unit=1.0, center=0.0, scale=1.0, weight=1.0, missing=0.25),
    )
    fusion = Fusion(text=None, signals=terms, intercept=0.1, regularization=1.0)
    columns = {name: np.array(column, dtype=float) for name, column in zip("ab", zip(*rows, strict=True), strict=True)}
    each = [fusion.fuse(Evidence(None, dict(zip("ab", row, strict=True)))) for row in rows]
    assert fusion.fuse_columns(columns).tolist() == pytest.approx(each)


def make_columns(**settings):
    rows, labels, groups = make_evidence(**settings)
    return {"value": np.array([row.signals["value"] for row in rows], dtype=float)}, labels, groups


def test_columns_are_fitted_as_rows_are():
    columns, labels, groups = make_columns(signal=1.0, missing=0.3)
    straight, bent = (fit_columns(columns, labels, groups, bends=bends) for bends in (False, True))
    fitted = fit_fusion(*make_evidence(signal=1.0, missing=0.3), signals=["value"])
    assert fitted in (straight.fusion, bent.fusion)


@pytest.mark.parametrize(("hump", "bent"), [pytest.param(2.0, True, id="hump"), pytest.param(0.0, False, id="line")])
def test_a_line_bends_where_questions_held_out_say_so(hump, bent):
    random = np.random.default_rng(0)
    values = random.normal(0, 1, 2000)
    labels = random.random(2000) < 1 / (1 + np.exp(-(0.5 * values - hump * (np.abs(values) - 0.8))))
    rows = [Evidence(None, {"value": value}) for value in values]
    fusion = fit_fusion(rows, labels.tolist(), [str(row // 4) for row in range(2000)])
    low, middle, high = (fusion.fuse(Evidence(None, {"value": value})) for value in (-2.0, 0.3, 2.0))
    assert fusion.bent == bent
    assert (middle > max(low, high) + 1) == bent


def test_a_choice_is_taken_over():
    given_evidence = make_evidence(signal=1.0)
    like = fit_fusion(*given_evidence)
    assert fit_fusion(*given_evidence, like=like) == like


@pytest.mark.parametrize("signs", [pytest.param(None, id="free"), pytest.param({"value": 1}, id="only speaks for")])
def test_what_only_speaks_for_a_row_never_bends(signs):
    columns, labels, groups = make_columns(signal=1.0)
    (term,) = fit_columns(columns, labels, groups, bends=True, signs=signs).fusion.signals
    assert bool(term.bends) == (signs is None)


def test_what_is_not_finite_is_missing():
    columns, labels, groups = make_columns(signal=1.0, missing=0.3)
    wild = np.where(np.isnan(columns["value"]), np.inf, columns["value"])
    assert fit_columns({"value": wild}, labels, groups) == fit_columns(columns, labels, groups)


def weight_of(columns, labels, groups, **settings):
    """The weight of `value`, where the penalty is known."""
    fusion, _ = fit_columns(columns, labels, groups, pair_weight=0.0, regularization=1.0, **settings)
    return next(term.weight for term in fusion.signals if term.name == "value")


def test_a_row_that_counts_twice_is_a_row_that_stands_there_twice():
    columns, labels, groups = make_columns(signal=1.0)
    twice = np.arange(len(labels)) % 3 == 0
    weighted = weight_of(columns, labels, groups, row_weights=np.where(twice, 2.0, 1.0))
    rows = np.concatenate([np.arange(len(labels)), np.flatnonzero(twice)])
    copied = weight_of({"value": columns["value"][rows]}, np.array(labels)[rows].tolist(), [groups[r] for r in rows])
    assert weighted == pytest.approx(copied, rel=0.1), "but for what is typical of the values"
    assert weighted != pytest.approx(weight_of(columns, labels, groups), rel=1e-6)


def test_weights_are_relative():
    given_columns = make_columns(signal=1.0)
    counts = np.linspace(1.0, 3.0, len(given_columns[1]))
    assert weight_of(*given_columns, row_weights=counts) == pytest.approx(
        weight_of(*given_columns, row_weights=1000 * counts)
    )


@pytest.mark.parametrize(
    ("signal", "sign", "kept"),
    [
        pytest.param(1.0, 1, True, id="speaks for, and may"),
        pytest.param(1.0, -1, False, id="speaks for, and must not"),
        pytest.param(-1.0, -1, True, id="speaks against, and may"),
        pytest.param(-1.0, 1, False, id="speaks against, and must not"),
        pytest.param(-1.0, 0, True, id="free"),
    ],
)
def test_signs_hold(signal, sign, kept):
    columns, labels, groups = make_columns(signal=signal)
    columns["other"] = np.random.default_rng(3).normal(labels, 1)
    weight = weight_of(columns, labels, groups, signs={"value": sign, "unknown": 1})
    free = weight_of(columns, labels, groups)
    assert weight == (pytest.approx(free) if kept else 0.0)
    assert np.sign(free) == np.sign(signal)


def test_what_was_left_out_for_its_sign_leaves_its_place_to_the_others():
    columns, labels, groups = make_columns(signal=1.0)
    alone = weight_of(columns, labels, groups)
    columns["other"] = np.random.default_rng(1).normal(labels, 1)
    fusion, _ = fit_columns(columns, labels, groups, pair_weight=0.0, regularization=1.0, signs={"other": -1})
    assert {term.name: term.weight for term in fusion.signals} == {"value": pytest.approx(alone), "other": 0.0}


def test_a_known_penalty_is_kept():
    columns, labels, groups = make_columns(signal=1.0)
    fusions = {c: fit_columns(columns, labels, groups, regularization=c).fusion for c in (1e-4, 1.0)}
    assert [fusion.regularization for fusion in fusions.values()] == [1e-4, 1.0]
    assert 0 < fusions[1e-4].signals[0].weight < 0.5 * fusions[1.0].signals[0].weight
