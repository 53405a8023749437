"""The three words, from intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.evaluation.metrics import Interval
from drr_agent.evaluation.report import Comparison
from drr_agent.evaluation.verdict import Rival, judge, judge_comparisons, judge_single_attempts


def rival(low, high, *, mean=None, calls=None, name="voting"):
    return Rival(name, Interval((low + high) / 2 if mean is None else mean, low, high), calls)


SURE = rival(0.05, 0.15, name="one attempt")
CHEAPER = Interval(-1.0, -1.5, -0.5)


@pytest.mark.parametrize(
    ("single", "voting", "best", "word", "said"),
    [
        pytest.param(SURE, rival(0.01, 0.05), None, "use it", "surely right more often", id="beats both"),
        pytest.param(SURE, None, None, "use it", "+10.0 points, 95 % interval +5.0 to +15.0", id="voting not tried"),
        pytest.param(SURE, rival(0.002, 0.015), None, "use it", "+0.9 points", id="a small gain that is sure"),
        pytest.param(
            SURE, rival(-0.01, 0.04), rival(-0.01, 0.01, calls=CHEAPER), "use it", "surely fewer calls", id="cheaper"
        ),
        pytest.param(
            rival(0.001, 0.01),
            rival(-0.01, 0.04),
            rival(-0.01, 0.01, calls=CHEAPER),
            "do not",
            "one attempt is enough: the gain over it is",
            id="cheaper than voting, and hardly better than one attempt",
        ),
        pytest.param(
            SURE,
            rival(-0.01, 0.04),
            rival(-0.03, 0.01, calls=CHEAPER),
            "shadow it",
            "no gain is sure",
            id="cheaper, and perhaps worse",
        ),
        pytest.param(
            SURE,
            rival(-0.01, 0.04),
            rival(-0.01, 0.01, calls=Interval(-0.1, -0.3, 0.1)),
            "shadow it",
            "no gain is sure",
            id="perhaps cheaper",
        ),
        pytest.param(
            SURE,
            rival(-0.02, 0.01, mean=0.001),
            rival(-0.01, 0.01, calls=CHEAPER),
            "do not",
            "voting does as well",
            id="fewer votes are as cheap",
        ),
        pytest.param(SURE, rival(-0.01, 0.05), None, "shadow it", "about 900 labelled", id="looks better than voting"),
        pytest.param(
            rival(-0.01, 0.05), None, None, "shadow it", "no gain is sure", id="looks better than one attempt"
        ),
        pytest.param(rival(-0.02, 0.01), None, None, "do not", "one attempt is enough", id="one attempt is enough"),
        pytest.param(rival(-0.1, 0.1), None, None, "do not", "too few labels", id="nobody can tell"),
        pytest.param(rival(-0.1, -0.02), None, None, "do not", "right less often", id="harm"),
        pytest.param(SURE, rival(-0.1, -0.02), None, "do not", "less often than voting", id="voting is better"),
        pytest.param(SURE, rival(-0.08, 0.05), None, "do not", "too few labels", id="worse than voting, perhaps"),
    ],
)
def test_the_word_is_of_the_intervals(single, voting, best, word, said):
    found = judge("DRR at 0.8", single, voting, best, questions=400)
    assert found.word == word
    assert said in found.reason
    assert found.setting == "DRR at 0.8"
    assert found.unknown == ("too few labels" in said)
    assert str(found).lower().startswith("not yet: " if found.unknown else f"{word}: ")


def test_few_questions_say_nothing():
    found = judge("DRR", SURE, None, None, questions=12)
    assert (found.word, found.reason) == ("do not", "12 labelled questions are too few to tell; 30 are the fewest.")
    assert str(found).startswith("Not yet: 12 labelled questions")


def test_single_attempts_tell_nothing_of_a_second():
    found = judge_single_attempts("DRR at 0.8")
    assert (found.word, found.unknown, found.setting) == ("do not", True, "DRR at 0.8")
    assert str(found).startswith("Not yet: there is one attempt a question, so the log cannot tell")
    assert "drr distill --attempts 8" in found.reason
    assert "enough" not in found.reason


INTERVALS = st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3).map(
    lambda values: Interval(sorted(values)[1], sorted(values)[0], sorted(values)[2])
)


@given(single=INTERVALS, voting=INTERVALS, best=INTERVALS, calls=INTERVALS)
def test_use_it_is_only_said_of_what_is_sure(single, voting, best, calls):
    found = judge("p", Rival("one", single), Rival("v", voting), Rival("b", best, calls), questions=300)
    if found.word == "use it":
        assert single.low > 0
        assert voting.low > 0 or (best.low > -0.02 and calls.high < 0)
    if single.high < 0 or voting.high < 0:
        assert found.word == "do not"


def comparison(against, low, high, **changes):
    given = {
        "strategy": "drr_consensus",
        "setting": "at 0.8",
        "against": against,
        "baseline": "single pass" if against == "single_pass" else "self consistency k=3",
        "n": 400,
        "left_out": 0,
        "accuracy": 0.7,
        "baseline_accuracy": 0.6,
        "calls": 3.0,
        "baseline_calls": 3.0,
        "difference": (low + high) / 2,
        "difference_ci": (low, high),
        "calls_to_match": None,
    }
    return Comparison(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "saves"),
    [
        pytest.param({}, (50.0, 0.0), id="no voting reaches it"),
        pytest.param({"calls_to_match": 4.5}, (0.0, 1500.0), id="voting reaches it for more"),
    ],
)
def test_an_evaluation_says_what_is_saved(changes, saves):
    rows = [comparison("single_pass", 0.1, 0.2), comparison("voting", 0.01, 0.09, **changes)]
    found = judge_comparisons(rows)
    assert (found.word, found.setting) == ("use it", "DRR consensus at 0.8")
    assert (found.saves.right, found.saves.calls) == pytest.approx(saves)
    assert (found.saves.tokens, found.saves.usd) == (None, None), "an evaluation prices no voting"


@pytest.mark.parametrize(
    ("calls", "unknown"), [pytest.param(1.0, True, id="never"), pytest.param(1.02, False, id="once in fifty")]
)
def test_an_evaluation_in_which_nobody_thought_again_tells_nothing(calls, unknown):
    rows = [comparison(kind, 0.0, 0.0, calls=calls, baseline_calls=1.0) for kind in ("single_pass", "voting")]
    found = judge_comparisons(rows)
    assert (found.word, found.unknown) == ("do not", unknown)
    assert ("one attempt is enough" in found.reason) == (not unknown)


def test_one_rival_is_not_counted_twice():
    rows = [comparison("single_pass", 0.1, 0.2), comparison("voting", -0.01, 0.2, baseline="single pass")]
    assert judge_comparisons(rows).word == "use it"


@pytest.mark.parametrize("rows", [[], [comparison("voting", 0.1, 0.2)]], ids=["nothing", "no single pass"])
def test_without_a_single_pass_there_is_no_verdict(rows):
    assert judge_comparisons(rows) is None


@pytest.mark.parametrize(
    ("p", "in_sample", "best", "word"),
    [
        pytest.param(0.04, False, None, "use it", id="sure"),
        pytest.param(0.12, False, None, "shadow it", id="a handful of questions that all go one way"),
        pytest.param(0.04, True, None, "shadow it", id="a setting chosen on these very questions"),
        pytest.param(0.12, False, rival(-0.019, -0.004, calls=CHEAPER), "shadow it", id="cheaper, and surely worse"),
    ],
)
def test_what_is_not_sure_is_shadowed(p, in_sample, best, word):
    found = judge("drr", SURE, rival(0.01, 0.05)._replace(p=p), best, questions=500, in_sample=in_sample)
    assert found.word == word
