"""What speaks for each answer, by hand on small runs; and what must not depend on the order of attempts."""

import math

import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.grading import AUTO
from drr_agent.odds import score_logit
from drr_agent.stopping.answers import SIGNS, Facts, read_answers

LOGITS = st.none() | st.floats(-40, 40)
ATTEMPTS = st.lists(st.tuples(st.sampled_from([None, "41", "41.0", "42", "a", "b"]), LOGITS), max_size=8)


def run(*rows):
    """Attempts from pairs of answer and logit."""
    return [make_attempt(answer, None, logit=logit, turn=turn) for turn, (answer, logit) in enumerate(rows, 1)]


def read(*rows):
    return read_answers(run(*rows), AUTO)


def support(*logits):
    return math.fsum(math.log1p(math.exp(logit)) for logit in logits)


SPLIT = [("41", 1.0), ("42", 0.5), ("41.0", -1.0), (None, None)]


@pytest.mark.parametrize(
    ("fact", "first", "second"),
    [
        pytest.param("turn", 4, 4, id="turn"),
        pytest.param("votes", 2, 1, id="votes"),
        pytest.param("log_votes", math.log(2), 0.0, id="log votes"),
        pytest.param("share", 0.5, 0.25, id="share of all turns"),
        pytest.param("distinct", 2, 2, id="distinct"),
        pytest.param("unanswered", 1, 1, id="unanswered"),
        pytest.param("support", support(1.0, -1.0), support(0.5), id="support"),
        pytest.param("best", 1.0, 0.5, id="best"),
        pytest.param("mean", 0.0, 0.5, id="mean"),
        pytest.param("unopposed", None, None, id="unopposed is missing with a rival"),
        pytest.param("rival_votes", 1, 2, id="votes of the rival"),
        pytest.param("rival_support", support(0.5), support(1.0, -1.0), id="support of the rival"),
        pytest.param("rival_best", 0.5, 1.0, id="best of the rival"),
        pytest.param("lead", support(1.0, -1.0) - support(0.5), support(0.5) - support(1.0, -1.0), id="lead"),
        pytest.param("rank", 0, 1, id="rank"),
    ],
)
def test_facts_of_two_answers(fact, first, second):
    found = [getattr(candidate.facts, fact) for candidate in read(*SPLIT)]
    assert found == [None if value is None else pytest.approx(value) for value in (first, second)]


@pytest.mark.parametrize(
    ("rows", "fact", "values"),
    [
        pytest.param([("41", 1.0)] * 3, "unopposed", [3], id="its votes, unopposed"),
        pytest.param([("41", 1.0)], "rival_best", [None], id="no rival, no best of it"),
        pytest.param([("41", 1.0)], "rival_support", [0.0], id="nothing supports no rival"),
        pytest.param([("41", 1.0)], "lead", [support(1.0)], id="a lead over nothing"),
        pytest.param([("41", None)] * 2, "support", [None], id="without scores, no support"),
        pytest.param([("41", None)] * 2, "best", [None], id="without scores, no best"),
        pytest.param([("41", None)] * 2, "mean", [None], id="without scores, no mean"),
        pytest.param([("41", None)] * 2, "lead", [None], id="without scores, no lead"),
        pytest.param([("41", 1.0), ("42", None)], "lead", [None, None], id="no lead over the unknown"),
        pytest.param([("41", 1.0), ("41", None)], "support", [support(1.0)], id="support of the scored alone"),
        pytest.param([("41", 1.0), ("41", None)], "votes", [2], id="votes of all"),
        pytest.param([("a", 2.0), ("b", 1.0), ("41", 0.0)], "rival_best", [1.0, 2.0, 2.0], id="the best rival"),
        pytest.param([(None, None), (None, None)], "turn", [], id="no answer at all"),
        pytest.param([], "turn", [], id="no attempt"),
    ],
)
def test_what_is_missing_is_missing(rows, fact, values):
    found = [getattr(candidate.facts, fact) for candidate in read(*rows)]
    assert found == [None if value is None else pytest.approx(value) for value in values]


def test_a_score_stands_in_for_a_logit():
    (candidate,) = read_answers([make_attempt("41", 0.9)], AUTO)
    assert candidate.facts.best == pytest.approx(score_logit(0.9))


@pytest.mark.parametrize(
    ("rows", "choices"),
    [
        pytest.param([("41", 1.0), ("41", 2.0)], [1], id="the best-scored stands"),
        pytest.param([("41", 1.0), ("41", 1.0)], [0], id="the earliest of equals stands"),
        pytest.param([("41", None), ("41", -9.0)], [1], id="a scored one before one without"),
        pytest.param([("41", None), ("41", None)], [0], id="the first, without scores"),
        pytest.param([("41", 0.0), ("42", 1.0)], [1, 0], id="the better-supported first"),
        pytest.param([("41", 0.0), ("42", 0.0)], [0, 1], id="the earlier of equal answers first"),
        pytest.param([("41", None), ("42", None), ("42", None)], [1, 0], id="votes decide without scores"),
        pytest.param([("41", None), ("41", None), ("42", -5.0)], [2, 0], id="known support before unknown"),
    ],
)
def test_order_and_ties(rows, choices):
    assert [candidate.choice for candidate in read(*rows)] == choices


def test_all_answers_of_a_run_count_once():
    assert SIGNS.keys() <= set(Facts._fields)
    assert sum(candidate.facts.votes for candidate in read(*SPLIT)) == 3


@given(rows=ATTEMPTS)
def test_facts_are_finite_or_missing(rows):
    candidates = read(*rows)
    assert len(candidates) == len({group for group in AUTO.group([a for a, _ in rows]) if group is not None})
    for candidate in candidates:
        assert all(value is None or math.isfinite(value) for value in candidate.facts)
        assert rows[candidate.choice][0] is not None
        assert (candidate.facts.best is None) == (candidate.facts.support is None)
    assert [candidate.facts.rank for candidate in candidates] == list(range(len(candidates)))
    known = [0.0 if candidate.facts.support is None else candidate.facts.support for candidate in candidates]
    assert known == sorted(known, reverse=True)


@given(data=st.data())
def test_the_order_of_attempts_tells_nothing(data):
    scores = data.draw(st.lists(st.floats(-20, 20), min_size=1, max_size=6, unique=True))
    rows = [(data.draw(st.sampled_from([None, "41", "42", "a"])), logit) for logit in scores]
    mixed = data.draw(st.permutations(rows))
    one, other = ({rows[c.choice][0]: c.facts for c in read(*rows)} for rows in (rows, mixed))
    assert one.keys() == other.keys()
    for answer, facts in one.items():
        if len({f.support for f in one.values()}) == len(one):  # else it is the order that decides
            assert facts == other[answer]
