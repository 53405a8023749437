"""The break-even price of one more turn: by hand, and never the wrong way round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stopping.models import PRICES, doubting, turn_values

from drr_agent.stopping.beliefs import Belief
from drr_agent.stopping.values import BASIS, TurnValues, basis

UNIT = st.floats(0, 1)
WEIGHTS = st.lists(st.floats(-2, 2), min_size=len(BASIS), max_size=len(BASIS)).map(tuple)
VALUES = st.lists(st.tuples(*[WEIGHTS] * len(PRICES)), max_size=3).map(
    lambda turns: TurnValues(prices=PRICES, weights=tuple(turns))
)


def flat(*advantages):
    """One turn whose advantage depends on the price alone."""
    return turn_values(tuple((value, 0.0) for value in advantages))


@pytest.mark.parametrize(
    ("values", "price"),
    [
        pytest.param(flat(-0.1, -0.2, -0.3), 0.0, id="never pays"),
        pytest.param(flat(0.0, -0.2, -0.3), 0.0, id="no advantage is none"),
        pytest.param(flat(0.3, 0.2, 0.1), 0.5, id="always pays, up to what the answer lacks"),
        pytest.param(flat(0.2, -0.2, -0.3), 0.055, id="halfway between two prices"),
        pytest.param(flat(0.3, -0.1, -0.3), 0.0775, id="in proportion"),
        pytest.param(flat(0.3, 0.2, -0.2), 0.2, id="between the next two"),
        pytest.param(flat(0.3, 0.0, -0.2), 0.1, id="gone just there"),
        pytest.param(flat(0.2, -0.2, 0.9), 0.055, id="where it is first gone"),
    ],
)
def test_break_even(values, price):
    assert values.break_even(1, Belief(0, 0.5, 0.1)) == pytest.approx(price)


@pytest.mark.parametrize(
    ("turn", "best", "price"),
    [
        pytest.param(1, 0.0, 0.2, id="nothing known"),
        pytest.param(1, 0.5, 0.1, id="in doubt"),
        pytest.param(2, 0.75, 0.05, id="less in doubt"),
        pytest.param(2, 1.0, 0.0, id="sure"),
        pytest.param(3, 0.5, 0.0, id="after the last turn that is known"),
        pytest.param(99, 0.0, 0.0, id="long after"),
        pytest.param(0, 0.0, 0.0, id="before the first"),
    ],
)
def test_break_even_by_belief_and_turn(turn, best, price):
    assert doubting(turns=2).break_even(turn, Belief(0, best, 0.0)) == pytest.approx(price)


@given(values=VALUES, beliefs=st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=5))
def test_many_at_once_are_each_by_itself(values, beliefs):
    best, second = np.array(beliefs).T
    for turn in range(values.turns + 2):
        found = values.break_even_prices(turn, best, second)
        each = [values.break_even(turn, Belief(0, *belief)) for belief in beliefs]
        assert found.tolist() == pytest.approx(each, abs=1e-9)
        assert (found >= 0).all()
        assert (found <= 1 - best).all(), "no turn brings more than what the best answer lacks"


@given(best=UNIT, second=UNIT)
def test_the_basis_is_finite_up_to_the_ends(best, second):
    seen = basis(np.array([best]), np.array([second]))
    assert seen.shape == (1, len(BASIS))
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() < 4


@pytest.mark.parametrize(
    ("sure", "surer"), [pytest.param(0.0003, 1e-9, id="surely wrong"), pytest.param(0.998, 1 - 1e-9, id="surely right")]
)
def test_beyond_what_readings_show_no_line_goes_on(sure, surer):
    here, beyond = (basis(np.array([best]), np.array([0.0]))[:, -1] for best in (sure, surer))
    assert here == beyond


def test_the_basis_by_hand():
    (seen,) = basis(np.array([0.8]), np.array([0.1]))
    assert seen.tolist() == pytest.approx([1.0, 0.8, 0.64, 0.1, 0.08, 0.01, np.log(4.0) / 4])


def test_values_survive_json():
    values = doubting()
    assert TurnValues.model_validate_json(values.model_dump_json()) == values


ROW = (0.0,) * len(BASIS)
TURN = (ROW,) * len(PRICES)
SHORTER = doubting(turns=3).model_copy(update={"shorter": tuple(doubting(turns=n).weights for n in (1, 2))})


@pytest.mark.parametrize(
    ("values", "max_turns", "turns"),
    [
        pytest.param(SHORTER, 9, 3, id="more than it knows"),
        pytest.param(SHORTER, 4, 3, id="as many"),
        pytest.param(SHORTER, 3, 2, id="one fewer"),
        pytest.param(SHORTER, 2, 1, id="two"),
        pytest.param(SHORTER, 1, 3, id="one, after which none counts"),
        pytest.param(doubting(turns=3), 3, 3, id="an older model knows of no fewer"),
    ],
)
def test_values_within_some_turns(values, max_turns, turns):
    found = values.within(max_turns)
    assert found.turns == turns
    assert found == TurnValues.model_validate_json(found.model_dump_json()), "still a whole model"
    assert [found.within(fewer) for fewer in (2, 3) if fewer <= turns] == [
        values.within(fewer) for fewer in (2, 3) if fewer <= turns
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"prices": (0.1, 0.1, 0.2)}, "do not rise", id="equal prices"),
        pytest.param({"prices": (0.2, 0.1, 0.3)}, "do not rise", id="falling prices"),
        pytest.param({"prices": (0.0, 0.1, 0.2)}, "greater than 0", id="free"),
        pytest.param({"prices": (0.1,)}, "at least 2", id="one price"),
        pytest.param({"weights": ((ROW, ROW),)}, "3 rows of 7 weights", id="a price without weights"),
        pytest.param({"weights": ((ROW, ROW, ROW[1:]),)}, "3 rows of 7 weights", id="a weight too few"),
        pytest.param({"weights": ((ROW, ROW, (np.nan, *ROW[1:])),)}, "finite", id="not a number"),
        pytest.param({"shorter": (((ROW, ROW),),)}, "3 rows of 7 weights", id="shorter, a price without weights"),
        pytest.param({"shorter": ((TURN, TURN),)}, "horizons from two turns up", id="a horizon left out"),
        pytest.param({"shorter": ((TURN,), (TURN,) * 2, (TURN,) * 3)}, "horizons from two", id="one too many"),
        pytest.param({"surprise": 1}, "Extra inputs", id="another field"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        TurnValues.model_validate({**doubting().model_dump(), **change})
