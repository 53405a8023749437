"""What a right answer is worth, in the unit a user thinks in, as Reasoner calls."""

import re
from collections.abc import Sequence
from statistics import fmean

from drr_agent.errors import ConfigError, DataError
from drr_agent.prices import Prices, find_prices
from drr_agent.training.behaviors import Behavior, to_attempt
from drr_agent.training.weights import weigh_rows

_UNITS = {"c": "calls", "t": "tokens", "u": "USD", "$": "USD"}
_WORTH = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(calls?|tokens?|usd|\$)?\s*", re.IGNORECASE)


def worth_in_calls(
    text: str, rows: Sequence[Behavior], *, price_in: float | None = None, price_out: float | None = None
) -> float:
    """A worth such as `50`, `50 calls`, `20000 tokens` or `0.5 usd` as Reasoner calls of the mean cost of a log.

    Args:
        text: a number with its unit, calls by default.
        rows: logged attempts, whose mean cost turns tokens and USD into calls; what runs explored stands for what
            their policy cut off (`drr_agent.training.weights.weigh_rows`).
        price_in: USD per million input tokens; by default the list price of each row's Reasoner.
        price_out: the same for output tokens.

    Raises:
        ConfigError: no such number.
        DataError: no attempt of the log has a known cost in that unit, or all are free.
    """
    found = _WORTH.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ConfigError(
            f"a worth must be a number above 0 with calls, tokens or usd after it, got {text!r}; write `--worth 50`, "
            "`--worth '20000 tokens'` or `--worth '0.5 usd'`"
        )
    unit = _UNITS[(found[2] or "calls").casefold()[0]]
    if unit == "calls":
        return float(found[1])
    prices = find_prices(sorted({row["reasoner"] for row in rows}), price_in=price_in, price_out=price_out)
    weights = weigh_rows(rows)
    costs = [(_tokens(row) if unit == "tokens" else _usd(row, prices), weights[row["id"]]) for row in rows]
    known = [(cost, weight) for cost, weight in costs if cost is not None and weight > 0]
    if not any(cost for cost, _ in known):
        raise DataError(
            f"expected attempts whose cost in {unit} is known and above 0, to tell what {text!r} is in calls, got none "
            f"of {len(rows)}; give the worth in calls, or log a Reasoner that reports its tokens"
        )
    return float(found[1]) / fmean((cost for cost, _ in known), weights=(weight for _, weight in known))


def _tokens(row: Behavior) -> float | None:
    if row["input_tokens"] is None or row["output_tokens"] is None:
        return None
    return float(row["input_tokens"] + row["output_tokens"])


def _usd(row: Behavior, prices: Prices) -> float | None:
    return prices.of(row["reasoner"], to_attempt(row, None))
