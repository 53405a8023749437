"""Cohen's kappa of a judge, against sklearn's and against what cannot be told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from training.synthetic import make_behavior

from drr_agent.training.labels.kappa import Pair, _from_tables, describe_kappa, judged_pairs, kappa

LABELS = st.sampled_from(["correct", "incorrect"])


def pairs(*counts, questions=None):
    """Right-right, right-wrong, wrong-right, wrong-wrong: judged, then known."""
    kinds = [(judged, known) for judged in ("correct", "incorrect") for known in ("correct", "incorrect")]
    told = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    return [Pair(f"q{place % (questions or len(told))}", *kind) for place, kind in enumerate(told)]


@pytest.mark.parametrize(
    ("counts", "agreement", "value"),
    [
        pytest.param((20, 5, 10, 15), 0.7, 0.4, id="the textbook's"),
        pytest.param((10, 0, 0, 10), 1.0, 1.0, id="perfect"),
        pytest.param((0, 10, 10, 0), 0.0, -1.0, id="the opposite"),
        pytest.param((90, 10, 0, 0), 0.9, 0.0, id="always the same word"),
    ],
)
def test_values(counts, agreement, value):
    found = kappa(pairs(*counts))
    assert (found.pairs, found.questions, found.reason) == (sum(counts), sum(counts), None)
    assert found.agreement == pytest.approx(agreement)
    assert found.kappa == pytest.approx(value)
    assert found.interval.low - 1e-9 <= found.interval.mean <= found.interval.high + 1e-9


@pytest.mark.parametrize(
    ("told", "agreement", "reason"),
    [
        pytest.param([], None, "0 attempts with a label of their own, fewer than 10", id="none"),
        pytest.param(pairs(3, 1, 1, 4), 7 / 9, "9 attempts with a label of their own", id="too few"),
        pytest.param(pairs(9, 0, 3, 0), 0.75, "the labels that exist all say correct", id="one class"),
        pytest.param(pairs(0, 2, 0, 10), 10 / 12, "the labels that exist all say incorrect", id="the other class"),
    ],
)
def test_what_cannot_be_told_is_none_with_its_reason(told, agreement, reason):
    found = kappa(told)
    assert (found.kappa, found.interval, found.agreement) == (None, None, agreement and pytest.approx(agreement))
    assert reason in found.reason
    assert reason in describe_kappa(found)


def test_the_interval_is_over_questions():
    told = pairs(40, 10, 10, 40)
    alike = [pair._replace(question=f"q{place // 5}") for place, pair in enumerate(told)]  # each of one kind
    apart, together = kappa(told), kappa(alike)
    assert (together.kappa, together.questions) == (apart.kappa, 20)
    assert 0.2 < width(apart) < 0.45
    assert width(together) > 1.5 * width(apart)
    assert kappa(told) == apart, "seeded"
    assert kappa(pairs(40, 10, 10, 40, questions=1)).interval is None


def test_where_few_resamples_know_both_classes_there_is_no_interval():
    told = [Pair("rare", "incorrect", "incorrect"), *(Pair(f"q{n}", "correct", "correct") for n in range(15))]
    found = kappa([*told, *(Pair(f"harsh {n}", "incorrect", "correct") for n in range(4))])
    assert (round(found.kappa, 2), found.interval) == (0.27, None)
    assert describe_kappa(found).endswith("Cohen's kappa 0.27")


def width(found):
    return found.interval.high - found.interval.low


@given(st.lists(st.tuples(LABELS, LABELS), min_size=2, max_size=30))
def test_the_resamples_use_the_same_kappa(told):
    if len({known for _, known in told}) == 2:
        table = np.zeros((1, 2, 2), dtype=np.int64)
        for judged, known in told:
            table[0, int(judged == "correct"), int(known == "correct")] += 1
        expected = cohen_kappa_score([j for j, _ in told], [k for _, k in told], labels=["correct", "incorrect"])
        assert _from_tables(table)[0] == pytest.approx(expected)


def test_pairs_are_of_one_judge_and_of_what_is_no_opinion():
    def said(value, source):
        return {"value": value, "source": source, "at": None}

    judged = said("correct", "judge:x")
    rows = [
        make_behavior("a", labels=[judged, said("incorrect", "grader:auto")]),
        make_behavior("b", labels=[judged, said("incorrect", "agreement"), said("correct", "judge:y")]),
        make_behavior("c", labels=[said(None, "judge:x"), said("correct", "human:ann")]),
        make_behavior("d", labels=[said("correct", "human:ann")]),
        make_behavior("e", labels=[judged, said(None, "human:ann"), said("correct", "feedback:thumbs")]),
    ]
    assert [(pair.judged, pair.known) for pair in judged_pairs(rows, "judge:x")] == [
        ("correct", "incorrect"),
        ("correct", "correct"),
    ]


def test_one_line_for_people():
    line = describe_kappa(kappa(pairs(20, 5, 10, 15)))
    assert line.startswith("agrees with the labels that exist on 70.0% of 50 attempts at 50 questions; ")
    assert "Cohen's kappa 0.40 (95 % interval 0." in line
