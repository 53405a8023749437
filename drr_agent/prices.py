"""What attempts cost in USD: by the list prices of genai-prices, or by the user's own. An unknown price is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drr_agent.errors import ConfigError, MissingExtraError, require_extra
from drr_agent.state import Attempt, Usage

_TOKENS = 1_000
"""Priced to learn what one costs: few enough for the first of tiered prices."""
_OURS = frozenset({"pocket", "local"})
"""Reasoners in this process: they cost what the machine costs, which no list knows."""


class Price(NamedTuple):
    """USD of one token."""

    input: float
    output: float

    def known(self, usage: Usage) -> float:
        """USD of the tokens that are known; calls that reported none are not in it."""
        return self.input * usage["input_tokens"] + self.output * usage["output_tokens"]

    def of(self, usage: Usage) -> float | None:
        """USD of all calls; `None` where some reported no tokens."""
        return None if usage["unmetered_calls"] else self.known(usage)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """The price of each Reasoner's tokens; `None` where nobody knows it."""

    by_reasoner: Mapping[str, Price | None] = field(default_factory=dict)

    def of(self, reasoner: str, attempt: Attempt) -> float | None:
        """USD of an attempt; `None` where its price or its tokens are unknown."""
        price = self.by_reasoner.get(reasoner)
        return None if price is None else price.of(attempt["usage"])

    @property
    def unknown(self) -> list[str]:
        """The Reasoners without a price."""
        return sorted(name for name, price in self.by_reasoner.items() if price is None)


def find_prices(reasoners: Sequence[str], *, price_in: float | None = None, price_out: float | None = None) -> Prices:
    """The prices of Reasoners by their names in logs, such as `openai:gpt-4o-mini` or `gpt-4o-mini`.

    List prices are those of today, without discounts for cached or batched tokens; of prices that rise with the length
    of a prompt, the first.

    Args:
        reasoners: as `describe_reasoner` names them, or as a log does.
        price_in: USD per million input tokens, for all of them, in place of the list's.
        price_out: USD per million output tokens; the two go together.

    Raises:
        ConfigError: one of the two alone, or one below 0.
    """
    if price_in is None and price_out is None:
        return Prices(by_reasoner={name: _list_price(name) for name in reasoners})
    if price_in is None or price_out is None or not (0 <= price_in < float("inf") and 0 <= price_out < float("inf")):
        raise ConfigError(
            f"`price_in` and `price_out` are USD per million tokens and go together, got {price_in!r} and "
            f"{price_out!r}; give both, each at least 0"
        )
    return Prices(by_reasoner=dict.fromkeys(reasoners, Price(price_in / 1e6, price_out / 1e6)))


def _list_price(reasoner: str) -> Price | None:
    provider, colon, model = reasoner.partition(":")
    if reasoner in _OURS or provider in _OURS:
        return None
    return _look_up(model, provider) if colon else _look_up(reasoner, None)


def _look_up(model: str, provider: str | None) -> Price | None:
    """USD a token of a provider's model; without a provider, of the one whose models are called so."""
    try:
        library = require_extra("genai_prices", extra="prices", purpose="a price in USD")
    except MissingExtraError:
        return None
    try:
        asked, told = (
            library.calc_price(library.Usage(**{kind: _TOKENS}), model_ref=model, provider_id=provider)
            for kind in ("input_tokens", "output_tokens")
        )
    except LookupError:
        return None
    return Price(float(asked.total_price) / _TOKENS, float(told.total_price) / _TOKENS)
