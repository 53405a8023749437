"""Certify: the promise is kept as often as it says, and nothing is certified that the data cannot support."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom
from training.synthetic import make_behavior

from drr_agent.errors import ConfigError
from drr_agent.training.certify import Certified, best_first, certify
from drr_agent.training.independence import halves
from drr_agent.training.refusal import Counts, Refusal, _outlooks, least_accepted, too_few

CUTOFFS = [round(0.3 + 0.01 * step, 2) for step in range(70)]


def draw(generator, count, *, overconfident=0.0):
    """Questions whose confidence is what a policy would accept by; right as often as it says, or less."""
    confidence = generator.beta(3.0, 0.8, size=count)
    right = generator.random(count) < confidence - overconfident
    return confidence[:, None] >= np.array(CUTOFFS), np.repeat(right[:, None], len(CUTOFFS), axis=1)


def table(*columns):
    """Columns of `R` (accepted, right), `W` (accepted, wrong), `-` (not accepted), by (letter, count)."""
    texts = ["".join(letter * count for letter, count in column) for column in columns]
    cells = np.array([list(text) for text in texts]).T
    return cells != "-", cells == "R"


def risks(**settings):
    """The true error at each cutoff, by a sample so large that it is known."""
    accepted, right = draw(np.random.default_rng(99), 200_000, **settings)
    return (accepted & ~right).sum(axis=0) / accepted.sum(axis=0)


@pytest.mark.parametrize("ordered", [False, True], ids=["from the strictest", "order by other data"])
@pytest.mark.parametrize("overconfident", [0.0, 0.05], ids=["calibrated", "overconfident"])
@pytest.mark.parametrize(("target", "count"), [(0.05, 800), (0.1, 400)])
def test_the_promise_is_kept(ordered, overconfident, target, count):
    truth, generator, resplits = risks(overconfident=overconfident), np.random.default_rng(4), 200
    broken = certified = 0
    for _ in range(resplits):
        order = None
        if ordered:
            order = best_first(*draw(generator, count, overconfident=overconfident), CUTOFFS, target_error=target)
        drawn = draw(generator, count, overconfident=overconfident)
        found = certify(*drawn, CUTOFFS, target_error=target, confidence=0.95, order=order)
        if isinstance(found, Certified):
            certified += 1
            broken += truth[CUTOFFS.index(found.cutoff)] > target
    assert broken / resplits <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / resplits)
    if overconfident == 0.0 and target == 0.1:
        assert certified / resplits > (0.7 if ordered else 0.5), "a promise that is never given is kept for nothing"


@pytest.mark.parametrize("order", [None, range(10)], ids=["from the strictest", "in another order"])
def test_the_worst_case_is_within_the_budget(order):
    """Every cutoff a little worse than promised, each with data of its own: any certificate is a broken promise."""
    generator, resplits = np.random.default_rng(6), 1000
    broken = 0
    for _ in range(resplits):
        right = generator.random((150, 10)) < 0.8999
        cutoffs = [0.1 * place for place in range(10)]
        found = certify(np.ones_like(right), right, cutoffs, target_error=0.1, confidence=0.95, order=order)
        broken += isinstance(found, Certified)
    assert 0 < broken / resplits <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / resplits)


def test_the_promise_breaks_without_the_account_of_the_thresholds_tried():
    """The simulation can tell: the plain choice of the best-looking threshold breaks its promise often."""
    truth, generator, broken = risks(overconfident=0.05), np.random.default_rng(4), 0
    for _ in range(200):
        accepted, right = draw(generator, 400, overconfident=0.05)
        wrong, count = (accepted & ~right).sum(axis=0), accepted.sum(axis=0)
        looks_good = np.flatnonzero((count > 0) & (wrong <= 0.1 * count))
        broken += len(looks_good) > 0 and truth[looks_good[0]] > 0.1
    assert broken / 200 > 0.2


def test_an_order_of_other_data_proves_more():
    generator, covered = np.random.default_rng(5), {"plain": [], "ordered": []}
    for _ in range(100):
        order = best_first(*draw(generator, 400), CUTOFFS, target_error=0.1)
        drawn = draw(generator, 400)
        for name, given_order in (("plain", None), ("ordered", order)):
            found = certify(*drawn, CUTOFFS, target_error=0.1, confidence=0.95, order=given_order)
            covered[name].append(found.coverage if isinstance(found, Certified) else 0.0)
    assert np.mean(covered["ordered"]) > np.mean(covered["plain"]) + 0.02


def test_the_largest_coverage_is_chosen_and_described():
    columns = [[("R", 180), ("W", 20)], [("R", 145), ("W", 2), ("-", 53)], [("R", 80), ("-", 120)]]
    found = certify(*table(*columns), [0.5, 0.7, 0.9], target_error=0.05, confidence=0.95, order=[2, 1, 0])
    assert isinstance(found, Certified)
    assert (found.cutoff, found.accepted, found.wrong, found.questions, found.tried) == (0.7, 147, 2, 200, 3)
    assert found.coverage == pytest.approx(147 / 200)
    assert found.coverage_ci == pytest.approx((beta.ppf(0.025, 147, 54), beta.ppf(0.975, 148, 53)))
    assert found.error_bound == pytest.approx(beta.ppf(0.95, 3, 145))
    assert found.error_bound < 0.05


@pytest.mark.parametrize(
    ("order", "certified"),
    [
        pytest.param([0, 1], 0.5, id="the first passes its budget on"),
        pytest.param([1, 0], None, id="a failure ends the pass"),
        pytest.param([0], 0.5, id="one alone"),
        pytest.param([1], None, id="what is left out is not tested"),
    ],
)
def test_the_order_counts(order, certified):
    found = certify(
        *table([("R", 100)], [("R", 30), ("-", 70)]), [0.5, 0.9], target_error=0.05, confidence=0.95, order=order
    )
    assert (found.cutoff if isinstance(found, Certified) else None) == certified


def test_what_nobody_knows_is_tested_as_wrong_and_not_told_as_accepted():
    """Of 200 runs, 4 end after their log: known errors 1 of 150, at the worst 5 of 154."""
    accepted, right = table([("R", 149), ("W", 1), ("W", 4), ("-", 46)])
    unfinished = np.zeros_like(accepted)
    unfinished[150:154] = True
    settings = {"target_error": 0.1, "confidence": 0.95}
    found = certify(accepted, right, [0.5], unfinished=unfinished, **settings)
    assert (found.accepted, found.wrong, found.unfinished, found.questions) == (150, 1, 4, 200)
    assert found.coverage == pytest.approx(0.75)
    assert found.coverage_ci == pytest.approx((beta.ppf(0.025, 150, 51), beta.ppf(0.975, 155, 46)))
    assert found.error_bound == pytest.approx(beta.ppf(0.95, 6, 149))
    told = certify(accepted, right, [0.5], **settings)
    assert (told.coverage, told.unfinished, told.error_bound) == (pytest.approx(0.77), 0, found.error_bound)


def test_the_unfinished_do_not_choose_the_threshold():
    """The looser cutoff accepts more only by what nobody knows."""
    accepted, right = table([("R", 100), ("W", 2), ("-", 18)], [("R", 100), ("W", 10), ("-", 10)])
    unfinished = np.zeros_like(accepted)
    unfinished[99:110, 1] = ~right[99:110, 1]
    settings = {"target_error": 0.2, "confidence": 0.95, "order": [0, 1]}
    found = certify(accepted, right, [0.9, 0.5], unfinished=unfinished, **settings)
    assert (found.cutoff, found.accepted, found.unfinished) == (0.9, 102, 0)
    assert certify(accepted, right, [0.9, 0.5], **settings).cutoff == 0.5


@given(st.integers(1, 300), st.integers(0, 20), st.integers(0, 10), st.floats(0.01, 0.5))
def test_no_end_of_a_run_makes_it_harder_to_certify_than_a_wrong_accept(accepted, wrong, unknown, target):
    wrong = min(wrong, accepted)
    worst = binom.cdf(wrong + unknown, accepted + unknown, target)
    for right in range(unknown + 1):
        for refused in range(unknown - right + 1):
            known = unknown - right - refused
            assert binom.cdf(wrong + known, accepted + unknown - refused, target) <= worst + 1e-9


def test_all_accepted_and_right():
    found = certify(*table([("R", 100)]), [0.5], target_error=0.05, confidence=0.95)
    assert isinstance(found, Certified)
    assert found.coverage_ci == pytest.approx((0.025**0.01, 1.0))
    assert found.error_bound == pytest.approx(1 - 0.05**0.01)


@pytest.mark.parametrize(
    ("columns", "needed", "reason"),
    [
        pytest.param(
            [[("R", 30)]], 720, "30 labelled questions are too few.*0 of 30 accepted.*about", id="thirty labels"
        ),
        pytest.param([[("R", 10)]], 59, "at least 59 would be.*and how many more these are too few", id="ten labels"),
        pytest.param([[("R", 40), ("-", 160)]], 1710, "0 of 40 accepted.*about", id="too few accepted"),
        pytest.param(
            [[("R", 194), ("W", 6)]],
            1107,
            "6 of 200.* 316 may do .* about 1,107 are likely to",
            id="close to the target",
        ),
        pytest.param([[("R", 96), ("W", 4)]], 1400, "4 of 100.*at least", id="too few to tell how close"),
        pytest.param([[("R", 180), ("W", 20)]], None, "More labels would not help", id="worse than the target"),
        pytest.param([[("R", 18), ("W", 2)]], None, "as far as 20 .* tell", id="worse than the target, and few"),
        pytest.param([[("-", 200)]], None, "none is accepted", id="nothing accepted"),
    ],
)
def test_a_refusal_says_how_many_labels_it_takes(columns, needed, reason):
    found = certify(*table(*columns), [0.5], target_error=0.05, confidence=0.95)
    assert isinstance(found, Refusal)
    assert found.needed == needed
    assert found.more == (None if needed is None else needed - len(table(*columns)[0]))
    assert found.at_least == ("at least" in found.reason)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)


@pytest.mark.parametrize(
    ("column", "target", "attainable"),
    [
        pytest.param([("R", 180), ("W", 20)], 0.05, 0.15, id="the least that passes"),
        pytest.param([("R", 194), ("W", 6)], 0.05, 0.06, id="in percent steps"),
        pytest.param([("R", 30)], 0.055, 0.1, id="above what was asked for"),
        pytest.param([("R", 60), ("W", 140)], 0.05, None, id="never more than half"),
        pytest.param([("R", 3)], 0.05, None, id="three labels show nothing"),
        pytest.param([("-", 200)], 0.05, None, id="nothing accepted"),
    ],
)
def test_a_refusal_says_what_the_labels_would_do_for(column, target, attainable):
    cells, settings = table(column), {"confidence": 0.95}
    assert certify(*cells, [0.5], target_error=target, **settings).attainable == attainable
    if attainable is not None:
        assert isinstance(certify(*cells, [0.5], target_error=attainable, **settings), Certified)
        assert isinstance(certify(*cells, [0.5], target_error=attainable - 0.01, **settings), Refusal)


def in_halves(scores, right, halved, **settings):
    """Certify on one half, in the order that the other suggests; what a refusal says rests on both."""
    accepted, right = scores[:, None] >= np.array(CUTOFFS), np.repeat(right[:, None], len(CUTOFFS), axis=1)
    other = accepted[halved], right[halved]
    return certify(
        accepted[~halved],
        right[~halved],
        CUTOFFS,
        order=best_first(*other, CUTOFFS, target_error=settings["target_error"]),
        share=float((~halved).mean()),
        other=other,
        **settings,
    )


@pytest.mark.parametrize(
    ("target", "count"),
    [
        pytest.param(0.05, 150, id="at 5 %, of 150 labels"),
        pytest.param(0.05, 400, id="at 5 %, of 400 labels"),
        pytest.param(0.1, 60, id="at 10 %, of 60 labels"),
        pytest.param(0.1, 200, id="at 10 %, of 200 labels"),
    ],
)
def test_whoever_labels_as_many_as_a_refusal_says_mostly_gets_the_certificate(target, count):
    generator, asked = np.random.default_rng(11), {"target_error": target, "confidence": 0.95}
    followed = []
    while len(followed) < 60:
        drawn = generator.beta(3.0, 0.8, size=40_000)
        right, halved = generator.random(len(drawn)) < drawn, generator.random(len(drawn)) < 0.5
        first = in_halves(drawn[:count], right[:count], halved[:count], **asked)
        if isinstance(first, Refusal) and first.more is not None and not first.at_least and first.needed < len(drawn):
            then = count + first.more
            followed.append(in_halves(drawn[:then], right[:then], halved[:then], **asked))
    assert sum(isinstance(then, Certified) for then in followed) >= 0.7 * len(followed)


def test_by_the_bare_share_of_errors_whoever_labels_as_many_would_be_refused_again():
    """The simulation can tell: the fewest labels that could do, at the errors of the best threshold, seldom do."""
    generator, asked, certified = np.random.default_rng(11), {"target_error": 0.05, "confidence": 0.95}, 0
    for _ in range(60):
        drawn = generator.beta(3.0, 0.8, size=40_000)
        right, halved = generator.random(len(drawn)) < drawn, generator.random(len(drawn)) < 0.5
        accepted = drawn[:150, None] >= np.array(CUTOFFS)
        wrong = (accepted & ~right[:150, None]).sum(axis=0)
        seen = Counts(accepted.sum(axis=0), wrong, 150)
        then = math.ceil(2 * _outlooks(seen, 0.05, 0.05, doubt=0.0, likely=0.5).min())
        found = in_halves(drawn[:then], right[:then], halved[:then], **asked)
        certified += isinstance(found, Certified)
    assert certified < 0.4 * 60


@pytest.mark.parametrize(
    ("above", "least"),
    [
        pytest.param(0.0, 0.4, id="about as often as not"),
        pytest.param(0.02, 0.75, id="with a little room mostly"),
    ],
)
def test_what_is_attainable_is_attained_by_other_labels(above, least):
    generator, attained = np.random.default_rng(12), []
    while len(attained) < 60:
        drawn = generator.beta(3.0, 0.8, size=1200)
        right, halved = generator.random(1200) < drawn - 0.05, generator.random(1200) < 0.5
        first = in_halves(drawn[:400], right[:400], halved[:400], target_error=0.05, confidence=0.95)
        if isinstance(first, Refusal) and first.attainable is not None:
            asked = {"target_error": first.attainable + above, "confidence": 0.95}
            attained.append(in_halves(drawn[400:], right[400:], halved[400:], **asked))
    assert sum(isinstance(found, Certified) for found in attained) >= least * len(attained)


def test_what_is_needed_speaks_of_all_labels():
    halved = {"target_error": 0.05, "confidence": 0.95, "share": 0.5}
    few = too_few(15, **halved)
    assert (few.needed, few.more, few.at_least) == (130, 100, True)
    assert "30 labelled questions" in few.reason
    cells = table([("R", 40), ("-", 160)])
    found, alone = (certify(*cells, [0.5], **{**halved, "share": share}) for share in (0.5, 1.0))
    assert found.needed > 2 * alone.needed, "the coin may fall the wrong way"
    assert "400 labelled questions, 200 of them to certify with" in found.reason
    assert too_few(59, **halved) is None


@pytest.mark.parametrize("certifying", [9, 15, 21], ids="{} of 30 certify".format)
def test_what_is_needed_is_enough_whichever_half_the_labels_fall_into(certifying):
    """With a probability of 0.9, and hardly more; twice as many as must certify would be too few half of the time."""
    needed = too_few(certifying, target_error=0.05, confidence=0.95, share=certifying / 30).needed
    least = least_accepted(0.05, 0.05)
    assert (
        binom.sf(least - certifying - 1, needed - 30, 0.5) >= 0.9 > binom.sf(least - certifying - 1, needed - 31, 0.5)
    )
    further = [make_behavior(f"Question {number}?") for number in range(30 * (needed - 30))]
    taken = [further[start : start + needed - 30] for start in range(0, len(further), needed - 30)]
    enough = [certifying + len(halves(rows)[1]) >= least for rows in taken]
    assert sum(enough) >= 0.7 * len(enough), "by the hashes themselves"


@given(
    target=st.floats(0.001, 0.5), budget=st.floats(0.001, 0.5), accepted=st.integers(0, 400), wrong=st.integers(0, 30)
)
@settings(max_examples=60)
def test_one_cutoff_is_an_exact_binomial_test(target, budget, accepted, wrong):
    wrong = min(wrong, accepted)
    cells = table([("R", accepted - wrong), ("W", wrong), ("-", 5)])
    found = certify(*cells, [0.5], target_error=target, confidence=1 - budget)
    p_value = binom.cdf(wrong, accepted, target)
    if abs(p_value - budget) > 1e-9:
        assert isinstance(found, Certified) == (accepted > 0 and p_value < budget)
    if isinstance(found, Certified):
        assert found.error_bound <= target + 1e-9
        assert found.coverage_ci[0] <= found.coverage <= found.coverage_ci[1]
    elif found.needed is not None:
        assert found.needed > accepted
        assert found.more > 0


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_least_accepted_is_the_least(budget, target):
    least = least_accepted(budget, target)
    assert (1 - target) ** least <= budget * (1 + 1e-6)
    assert (1 - target) ** (least - 1) > budget * (1 - 1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"target_error": 5}, "`target_error` must be between 0 and 1, got 5", id="percent"),
        pytest.param({"target_error": 0.0}, "`target_error`", id="no error at all"),
        pytest.param({"confidence": 1.0}, "`confidence`", id="certainty"),
        pytest.param({"confidence": float("nan")}, "`confidence`", id="nan"),
        pytest.param({"order": [0, 0]}, "`order` must name", id="twice"),
        pytest.param({"order": [1]}, "`order` must name", id="no such place"),
        pytest.param({"order": []}, "`order` must name", id="nothing to test"),
        pytest.param({"cutoffs": [0.5, 0.6]}, "a column for each of 2", id="another grid"),
        pytest.param({"right": np.ones((59, 1), dtype=bool)}, r"\(60, 1\) and \(59, 1\)", id="another count"),
    ],
)
def test_what_cannot_be_certified_is_refused_by_name(changes, message):
    accepted, right = table([("R", 60)])
    given_ = {"accepted": accepted, "right": right, "cutoffs": [0.5], "target_error": 0.05, "confidence": 0.95}
    with pytest.raises(ConfigError, match=message):
        certify(**{**given_, **changes})
