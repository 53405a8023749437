"""USD: known, given, or missing."""

import sys

import pytest
from fakes import make_attempt

from drr_agent.errors import ConfigError
from drr_agent.prices import find_prices

UNMETERED = {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}
MILLION = {"calls": 1, "unmetered_calls": 0, "input_tokens": 1_000_000, "output_tokens": 500_000}


@pytest.mark.parametrize("name", ["openai:gpt-4o-mini", "gpt-4o-mini", "anthropic:claude-haiku-4-5"])
def test_list_prices_are_found_by_the_names_of_logs(name):
    prices = find_prices([name])
    spent = prices.of(name, make_attempt(usage=MILLION))
    assert prices.unknown == []
    assert 0 < spent < 100
    tenth = {**MILLION, "input_tokens": 100_000, "output_tokens": 50_000}
    assert prices.of(name, make_attempt(usage=tenth)) == pytest.approx(spent / 10)


def test_a_name_with_and_without_its_provider_costs_the_same():
    with_provider, without = (
        find_prices([name]).of(name, make_attempt(usage=MILLION)) for name in ("openai:gpt-4o-mini", "gpt-4o-mini")
    )
    assert with_provider == without


@pytest.mark.parametrize("name", ["pocket", "local:Qwen/Qwen3-0.6B", "gemma-2-2b-it", "magic:gpt-4o-mini", ""])
def test_an_unknown_price_is_missing_and_not_zero(name):
    prices = find_prices([name])
    assert prices.unknown == [name]
    assert prices.of(name, make_attempt(usage=MILLION)) is None


def test_given_prices_are_for_a_million_tokens():
    prices = find_prices(["gemma-2-2b-it"], price_in=0.5, price_out=2.0)
    assert prices.of("gemma-2-2b-it", make_attempt(usage=MILLION)) == pytest.approx(0.5 + 1.0)
    assert prices.of("gemma-2-2b-it", make_attempt(usage=UNMETERED)) is None
    assert prices.of("another", make_attempt(usage=MILLION)) is None


def test_free_is_a_price():
    assert find_prices(["m"], price_in=0.0, price_out=0.0).of("m", make_attempt(usage=MILLION)) == 0.0


@pytest.mark.parametrize(
    ("price_in", "price_out"), [(1.0, None), (None, 1.0), (-1.0, 1.0), (1.0, float("nan"))], ids=str
)
def test_prices_go_together(price_in, price_out):
    with pytest.raises(ConfigError, match=r"go together, got .*give both"):
        find_prices(["m"], price_in=price_in, price_out=price_out)


def test_without_the_extra_prices_are_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert find_prices(["gpt-4o-mini"]).unknown == ["gpt-4o-mini"]
