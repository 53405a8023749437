"""A worth in calls, tokens or USD."""

import pytest
from training.synthetic import make_behavior

from drr_agent.errors import ConfigError, DataError
from drr_agent.replay.units import worth_in_calls

ROWS = [
    make_behavior(id="a", input_tokens=100, output_tokens=50),
    make_behavior(id="b", input_tokens=100, output_tokens=150),
]
"""200 tokens a call; at 2 and 4 USD per million, 0.0006 USD."""
PRICES = {"price_in": 2.0, "price_out": 4.0}


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        pytest.param("50", 50.0, id="calls by default"),
        pytest.param("50 calls", 50.0, id="calls"),
        pytest.param("1 call", 1.0, id="one call"),
        pytest.param(" .5CALLS ", 0.5, id="a part of one"),
        pytest.param("20000 tokens", 100.0, id="tokens"),
        pytest.param("1 Token", 0.005, id="one token"),
        pytest.param("0.6 usd", 1000.0, id="USD"),
        pytest.param("0.6 USD", 1000.0, id="USD in capitals"),
        pytest.param("0.6$", 1000.0, id="dollars"),
    ],
)
def test_units(text, calls):
    assert worth_in_calls(text, ROWS, **PRICES) == pytest.approx(calls)


@pytest.mark.parametrize(
    "text", ["", "calls", "0", "0.0 usd", "-5", "5 euros", "1e3", "nan", "5 5", "$5", "5 callss", "1,000"]
)
def test_what_is_no_worth_is_refused(text):
    with pytest.raises(ConfigError, match=r"a number above 0 with calls, tokens or usd.*got .*--worth 50"):
        worth_in_calls(text, ROWS, **PRICES)


def test_list_prices_are_found_by_the_reasoners_name():
    pytest.importorskip("genai_prices")
    rows = [make_behavior(reasoner="openai:gpt-4o-mini", input_tokens=1000, output_tokens=1000)]
    assert 100 < worth_in_calls("1 usd", rows) < 100_000


UNMETERED = [make_behavior(input_tokens=None, output_tokens=None)]


def test_what_is_unknown_is_left_out_and_what_is_free_counts():
    free = make_behavior(id="free", input_tokens=0, output_tokens=0)
    assert worth_in_calls("20000 tokens", [*ROWS, *UNMETERED]) == pytest.approx(100.0)
    assert worth_in_calls("20000 tokens", [*ROWS, free, free]) == pytest.approx(200.0)


def test_what_runs_explored_stands_for_what_accepts_cut_off():
    """Of four runs one went on, to an attempt that cost ten times as much: a call costs (4 · 100 + 4 · 1000) / 8."""
    first = [
        make_behavior(f"q{run}", id=f"{run}:1", run_id=str(run), origin="live", verdict="accept", input_tokens=90)
        for run in range(4)
    ]
    explored = {"origin": "explored", "propensity": 0.25, "input_tokens": 990}
    tail = make_behavior("q0", id="0:2", run_id="0", turn=2, **explored)
    assert worth_in_calls("5500 tokens", [*first, tail]) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("text", "rows", "prices", "unit"),
    [
        pytest.param("5 tokens", UNMETERED, {}, "tokens", id="no tokens counted"),
        pytest.param("5 usd", UNMETERED, PRICES, "USD", id="no tokens to price"),
        pytest.param("5 $", ROWS, {"price_in": 0.0, "price_out": 0.0}, "USD", id="free"),
        pytest.param("5 tokens", [], {}, "tokens", id="no rows"),
    ],
)
def test_an_unknown_cost_is_said_so(text, rows, prices, unit):
    with pytest.raises(DataError, match=rf"cost in {unit} is known.*got none of {len(rows)};"):
        worth_in_calls(text, rows, **prices)


def test_calls_need_no_log():
    assert worth_in_calls("7", []) == 7.0


def test_one_price_alone_is_refused():
    with pytest.raises(ConfigError, match="go together"):
        worth_in_calls("5 usd", ROWS, price_in=1.0)
