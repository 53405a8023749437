"""Limits, as arithmetic: what is spent, what is near, what is out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent import Budget, ConfigError
from drr_agent.budget import Limits, Meter
from drr_agent.prices import Price

NONE = Budget(max_calls=None, max_tokens=None, max_seconds=None)
COUNTS = st.integers(min_value=0, max_value=10**9)


def usage(calls=1, given=100, made=50, unmetered=0):
    return {"calls": calls, "unmetered_calls": unmetered, "input_tokens": given, "output_tokens": made}


def spent(seconds=0.0, **counts):
    return {"usage": usage(**counts), "seconds": seconds}


@pytest.mark.parametrize(
    ("limits", "given", "reached"),
    [
        pytest.param({"max_calls": 2}, spent(calls=1), None, id="a call is left"),
        pytest.param({"max_calls": 2}, spent(calls=2), "calls", id="calls"),
        pytest.param({"max_tokens": 150}, spent(), "tokens", id="tokens of both kinds"),
        pytest.param({"max_tokens": 151}, spent(), None, id="a token is left"),
        pytest.param({"max_seconds": 1.0}, spent(seconds=1.0), "seconds", id="seconds"),
        pytest.param({"max_usd": 0.2}, spent(), "usd", id="USD"),
        pytest.param({"max_usd": 0.2, "max_calls": 1}, spent(), "calls", id="the first of two"),
        pytest.param({"max_usd": 0.2}, spent(unmetered=1, calls=2), "usd", id="what is known is enough"),
        pytest.param({}, spent(calls=10**9, seconds=1e9), None, id="no limits"),
    ],
)
def test_which_limit_is_reached(limits, given, reached):
    budget = Budget(**{"max_calls": None, "max_tokens": None, "max_seconds": None, **limits})
    meters = list(budget.meters(given, Price(0.001, 0.002)))
    assert next((meter.limit for meter in meters if meter.is_reached), None) == reached
    assert budget.exhausted(given["usage"], given["seconds"], Price(0.001, 0.002)) == (reached is not None)


@pytest.mark.parametrize(
    ("price", "counts", "known"),
    [(Price(1.0, 1.0), {}, True), (Price(1.0, 1.0), {"unmetered": 1}, False), (None, {}, False)],
    ids=["priced", "unmetered", "no price"],
)
def test_usd_are_known_or_not(price, counts, known):
    [meter] = Budget(max_usd=1e6, max_calls=None, max_tokens=None, max_seconds=None).meters(spent(**counts), price)
    assert (meter.known, meter.is_reached) == (known, False)


@pytest.mark.parametrize(("amount", "near", "reached"), [(7.9, False, False), (8, True, False), (10, True, True)])
def test_near_is_80_percent(amount, near, reached):
    meter = Meter("calls", amount, 10)
    assert (meter.is_near, meter.is_reached) == (near, reached)


@given(COUNTS, COUNTS, COUNTS, st.floats(0, 1e9), COUNTS)
def test_more_is_never_less_spent(calls, given, made, seconds, more):
    few = spent(calls=calls, given=given, made=made, seconds=seconds)
    many = spent(calls=calls + more, given=given + more, made=made + more, seconds=seconds + more)
    limits = Limits(run=Budget(max_usd=5.0), thread=Budget(max_usd=9.0), price=Price(1e-6, 2e-6))
    for before, after in zip(limits.meters(few, few), limits.meters(many, many), strict=True):
        assert before.spent <= after.spent
        assert (before.limit, before.scope) == (after.limit, after.scope)
        assert after.is_reached or not before.is_reached


@pytest.mark.parametrize(
    ("run", "thread", "usd"),
    [
        pytest.param(NONE, None, None, id="nobody asks"),
        pytest.param(Budget(max_usd=1), None, None, id="no such price"),
        pytest.param(Budget(price_in=1, price_out=2), None, 200e-6, id="given"),
        pytest.param(NONE, Budget(price_in=1, price_out=2), 200e-6, id="given to the thread"),
        pytest.param(Budget(max_usd=1), Budget(price_in=1, price_out=2), 200e-6, id="one counts by the other's"),
        pytest.param(Budget(price_in=0, price_out=0), None, 0.0, id="free"),
    ],
)
def test_the_price_of_a_run(run, thread, usd):
    limits = Limits.of("magic:model", run, thread)
    assert limits.usd(usage()) == (usd if usd is None else pytest.approx(usd))


def test_list_prices_are_looked_up():
    pytest.importorskip("genai_prices")
    assert 0 < Limits.of("openai:gpt-4o-mini", Budget(max_usd=1)).usd(usage()) < 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_usd": 0}, "`max_usd` must be positive or None, got 0"),
        ({"max_calls": -1}, "`max_calls` must be positive or None, got -1"),
        ({"price_in": 1.0}, "go together, got 1.0 and None"),
        ({"price_in": -1.0, "price_out": 1.0}, "each at least 0"),
    ],
    ids=["no USD", "fewer than no calls", "half a price", "a negative price"],
)
def test_bad_budgets(settings, message):
    with pytest.raises(ConfigError, match=message):
        Budget(**settings)


def test_two_prices_for_one_reasoner():
    with pytest.raises(ConfigError, match="must count by the same prices"):
        Limits.of("m", Budget(price_in=1, price_out=1), Budget(price_in=2, price_out=1))
