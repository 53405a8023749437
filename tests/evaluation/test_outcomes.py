import pytest
from fakes import graded_run, make_attempt

from drr_agent.errors import DataError
from drr_agent.evaluation.outcomes import (
    fixed_and_harmed,
    precision_recall_by_turn,
    question_of,
    scored_attempts,
)
from drr_agent.evaluation.summary import pick_examples, summarize_dm, summarize_runs
from drr_agent.grading import get_grader

NUMBER = get_grader("number")


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        pytest.param(graded_run("2", "1"), "fixed", id="wrong, then right"),
        pytest.param(graded_run("1", "2"), "harmed", id="right, then wrong"),
        pytest.param(graded_run("2", "3"), "unchanged", id="wrong, then wrong in another way"),
        pytest.param(graded_run("1"), "unchanged", id="one attempt"),
        pytest.param(graded_run("1", "2", answer="1", choice=0), "unchanged", id="the first one chosen after all"),
        pytest.param(graded_run(None, "1"), "left out", id="no answer at first is not a wrong one"),
        pytest.param(graded_run("1", "2", answer=None, choice=None), "left out", id="abstained"),
        pytest.param(graded_run("2", "1", target=None), "left out", id="no target"),
        pytest.param(graded_run(answer=None), "left out", id="no attempt"),
    ],
)
def test_fixed_and_harmed(run, outcome):
    fixed, harmed, left_out = fixed_and_harmed([run], NUMBER)
    assert (fixed == [run], harmed == [run], left_out) == (
        outcome == "fixed",
        outcome == "harmed",
        int(outcome == "left out"),
    )


def judged(*attempts):
    """A run of (answer, verdict) pairs, whose last answer stands."""
    rows = [make_attempt(answer, verdict=verdict, turn=i) for i, (answer, verdict) in enumerate(attempts, start=1)]
    return graded_run("1", attempts=rows, answer=attempts[-1][0], score=0.75)


def test_precision_and_recall_by_turn():
    runs = [
        judged(("1", "accept")),
        judged(("2", "accept")),
        judged(("1", "reject"), ("1", "accept")),
        judged((None, "reject"), ("2", None)),
    ]
    assert precision_recall_by_turn(runs, NUMBER) == [
        {"turn": 1, "attempts": 3, "accepted": 2, "precision": 1 / 2, "confidence": 0.75}
        | {"recall": 1 / 2, "left_out": 1},
        {"turn": 2, "attempts": 2, "accepted": 1, "precision": 1.0, "confidence": 0.75}
        | {"recall": 1.0, "left_out": 0},
    ]


def test_an_accept_is_judged_by_the_answer_it_accepts():
    run = {**judged(("1", "reject"), ("2", "accept")), "answer": "1", "choice": 0}
    assert precision_recall_by_turn([run], NUMBER)[1]["precision"] == 1.0


def test_a_turn_without_accepts_has_no_precision():
    (row,) = precision_recall_by_turn([judged(("2", None))], NUMBER)
    assert (row["precision"], row["recall"]) == (None, None)


def test_scored_attempts_leaves_out_what_is_unknown_and_counts_it():
    attempts = [make_attempt("1", 0.9), make_attempt("2", 0.2), make_attempt("1", None), make_attempt(None, None)]
    found = scored_attempts([graded_run("1", attempts=attempts), graded_run("1", target=None)], NUMBER)
    assert found.scores.tolist() == [0.9, 0.2]
    assert found.labels.tolist() == [True, False]
    assert found.questions == ["s1", "s1"]
    assert found.left_out == 3


def test_live_runs_over_the_same_words_share_a_question_only_in_the_same_context():
    one, same, other = (graded_run("1", sample_id=None, context=context) for context in ("a", "a", "b"))
    assert question_of(one) == question_of(same) != question_of(other)


def test_summary_counts_what_is_no_answer_apart_from_what_is_wrong():
    runs = [
        graded_run("2", "1", sample="a", accepted=True, stop_reason="accepted"),
        graded_run("2", sample="b"),
        graded_run("1", sample="c", answer=None, choice=None, stop_reason="no_progress"),
        graded_run(sample="d", stop_reason="error"),
        graded_run("1", sample="e", target=None),
    ]
    result = summarize_runs("drr_threshold", "at 0.5", runs, NUMBER)
    assert (result.n, result.accuracy, result.ungraded) == (4, 0.25, 1)
    assert (result.abstained, result.failed, result.fixed, result.harmed, result.changes_left_out) == (1, 1, 1, 0, 3)
    assert result.accept_rate == 0.2
    assert result.mean_turns == result.mean_calls == 1.0
    assert result.stop_reasons == {"max_turns": 2, "accepted": 1, "no_progress": 1, "error": 1}
    assert result.turns == {0: 1, 1: 3, 2: 1}
    assert result.label == "DRR threshold at 0.5"


def test_of_the_accepted_it_is_counted_how_many_are_wrong():
    accepted = {"accepted": True, "stop_reason": "accepted"}
    runs = [
        graded_run("1", sample="a", **accepted),
        graded_run("2", sample="b", **accepted),
        graded_run("3", sample="c", **accepted),
        graded_run("2", sample="d"),
        graded_run("2", sample="e", target=None, **accepted),
    ]
    result = summarize_runs("drr", "", runs, NUMBER)
    assert (result.accepted, result.wrong_of_accepted) == (3, pytest.approx(2 / 3))
    nobody = summarize_runs("drr", "", runs[3:4], NUMBER)
    assert (nobody.accepted, nobody.wrong_of_accepted) == (0, None)


def test_tokens_are_the_mean_over_metered_runs():
    usage = {"calls": 2, "unmetered_calls": 1, "input_tokens": 1, "output_tokens": 1}
    result = summarize_runs("single", "", [graded_run("1"), graded_run("1", usage=usage)], NUMBER)
    assert (result.mean_tokens, result.unmetered, result.mean_calls) == (15.0, 1, 1.5)
    assert summarize_runs("single", "", [graded_run("1", usage=usage)], NUMBER).mean_tokens is None


def test_draws_of_one_question_do_not_narrow_the_interval_as_questions_would():
    apart = [graded_run(str(1 + i % 2), sample=f"q{i}") for i in range(40)]
    together = [graded_run(str(1 + i % 2), sample=f"q{i % 2}") for i in range(40)]
    low, high = summarize_runs("s", "", apart, NUMBER).accuracy_ci
    assert high - low < 0.35
    assert summarize_runs("s", "", together, NUMBER).accuracy_ci == (0.0, 1.0)


def test_no_runs_are_an_error():
    with pytest.raises(DataError, match="expected runs of 'drr' 'k=8', got none"):
        summarize_runs("drr", "k=8", [], NUMBER)


def test_dm_summary():
    attempts = [make_attempt("1", 0.9), make_attempt("2", 0.6), make_attempt("1", 0.3), make_attempt("2", None)]
    scored = scored_attempts([graded_run("1", attempts=attempts)], NUMBER)
    result = summarize_dm(
        scored, uncalibrated=[0.5, 0.5, 0.5], parts={"text alone": [0.1, 0.2, None], "none": [None] * 3}
    )
    assert (result.n, result.left_out) == (3, 1)
    assert result.auroc == result.within_question_auroc == 0.5
    assert result.within_question_auroc_of == {"text alone": 0.0, "none": None}
    assert result.brier == pytest.approx((0.01 + 0.36 + 0.49) / 3)
    assert result.ece == pytest.approx((0.1 + 0.6 + 0.7) / 3)
    assert [(row.mean_probability, row.count) for row in result.reliability_before] == [(0.5, 3)]
    assert (sum(result.scores.right), sum(result.scores.wrong)) == (2, 1)


def test_a_part_must_score_the_same_attempts():
    scored = scored_attempts([graded_run("1", attempts=[make_attempt("1", 0.9)])], NUMBER)
    with pytest.raises(DataError, match="each of 1 attempts, got 2"):
        summarize_dm(scored, parts={"text alone": [0.1, 0.2]})


def test_examples_are_the_first_of_each_kind():
    runs = [graded_run("2", "1", sample=f"f{i}") for i in range(5)] + [graded_run("1", "1"), graded_run("1", "2")]
    examples = pick_examples("drr", runs, NUMBER, each=2)
    assert [(example.change, example.question) for example in examples] == [
        ("fixed", "What is f0?"),
        ("fixed", "What is f1?"),
        ("harmed", "What is s1?"),
    ]
    assert [(attempt.right, attempt.chosen) for attempt in examples[0].attempts] == [(False, False), (True, True)]
