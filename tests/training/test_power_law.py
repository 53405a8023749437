import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.power_law import PowerLaw, Ranks, fit_power_law, gain_interval

SIZES = [50, 100, 200, 400]


@pytest.mark.parametrize(
    ("law", "sizes"),
    [
        pytest.param(PowerLaw(a=0.8, b=0.9, c=0.5), SIZES, id="rising"),
        pytest.param(PowerLaw(a=0.7, b=2.0, c=0.9), [30, 1000, 20_000], id="nearly-flat-at-the-end"),
        pytest.param(PowerLaw(a=1.0, b=0.6, c=0.1), SIZES, id="slow"),
        pytest.param(PowerLaw(a=0.5, b=-0.4, c=0.4), SIZES, id="falling"),
    ],
)
def test_a_law_is_found_again(law, sizes):
    found = fit_power_law(sizes, [law.at(size) for size in sizes])
    assert found.at(2 * sizes[-1]) == pytest.approx(law.at(2 * sizes[-1]), abs=1e-4)
    assert found.c == pytest.approx(law.c, abs=0.01)
    assert np.sign(found.b) == np.sign(law.b)


@pytest.mark.parametrize("sizes", [[], [100], [100, 200], [100, 200, 200]], ids=str)
def test_too_few_sizes_fit_no_law(sizes):
    assert fit_power_law(sizes, [0.6] * len(sizes)) is None


@pytest.mark.parametrize(
    ("law", "gain"),
    [
        pytest.param(PowerLaw(a=0.9, b=4.0, c=1.0), 0.02, id="half-of-what-is-left"),
        pytest.param(PowerLaw(a=1.6, b=2.0, c=0.25), None, id="no-more-than-1"),
        pytest.param(PowerLaw(a=0.5, b=-1.0, c=1.0), -0.005, id="below-0-where-it-falls"),
    ],
)
def test_what_twice_as_many_add(law, gain):
    expected = 1.0 - law.at(100) if gain is None else gain
    assert law.gain(100) == pytest.approx(expected)


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=6),
    st.lists(st.integers(1, 10_000), min_size=6, max_size=6, unique=True),
)
def test_any_values_have_a_finite_fit_that_no_flat_line_beats(values, sizes):
    sizes = sizes[: len(values)]
    law = fit_power_law(sizes, values)
    assert 0.05 <= law.c <= 1.0
    error = sum((law.at(size) - value) ** 2 for size, value in zip(sizes, values, strict=True))
    assert error <= np.var(values) * len(values) + 1e-9
    assert law.at(max(sizes)) + law.gain(max(sizes)) <= max(1.0, law.at(max(sizes))) + 1e-9


def ranks_of(shares, questions, seed, trainings=1):
    """Questions with one pair each, in order with the given probability."""
    random = np.random.default_rng(seed)
    luck = random.random((trainings, questions))
    return [Ranks(wins=(luck < share).astype(float), pairs=np.ones(questions)) for share in shares]


def test_questions_weigh_by_their_pairs_and_their_copies():
    ranks = Ranks(wins=np.array([[1.0, 4.0], [0.0, 8.0]]), pairs=np.array([1.0, 8.0]))
    assert ranks.within(np.array([1.0, 1.0])).tolist() == pytest.approx([5 / 9, 8 / 9])
    assert ranks.within(np.array([8.0, 1.0])).tolist() == pytest.approx([12 / 16, 8 / 16])


def test_more_questions_say_more():
    shares = [PowerLaw(a=0.8, b=0.9, c=0.5).at(size) for size in SIZES]
    widths = []
    for questions in (40, 4_000):
        low, high = gain_interval(SIZES, ranks_of(shares, questions, seed=0), seed=0)
        widths.append(high - low)
    assert widths[1] < widths[0] / 3
    assert low < PowerLaw(a=0.8, b=0.9, c=0.5).gain(400) < high


def test_a_flat_curve_may_gain_nothing():
    random = np.random.default_rng(0)
    ranks = [Ranks(wins=(random.random((1, 200)) < 0.7).astype(float), pairs=np.ones(200)) for _ in SIZES]
    low, high = gain_interval(SIZES, ranks, seed=0)
    assert low < 0 < high


def test_trainings_that_differ_widen_the_interval():
    alike = [Ranks(wins=np.full((3, 50), value), pairs=np.ones(50)) for value in (0.6, 0.65, 0.7, 0.72)]
    differing = [rank._replace(wins=rank.wins + np.array([[-0.05], [0.0], [0.05]])) for rank in alike[:3]] + alike[3:]
    widths = [high - low for low, high in (gain_interval(SIZES, ranks, seed=0) for ranks in (alike, differing))]
    assert widths[0] == pytest.approx(0.0, abs=1e-9)
    assert widths[1] > 0.01
