"""What a run, or a thread, may cost. Counted by us, since LangGraph's recursion limit restarts in every subgraph."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from drr_agent.errors import ConfigError
from drr_agent.prices import Price, find_prices
from drr_agent.state import BudgetLimit, BudgetScope, Spent, Usage

NEAR = 0.8
"""The share of a limit at which an event tells of it."""


class Meter(NamedTuple):
    """One limit, and what is spent of it."""

    limit: BudgetLimit
    spent: float
    """As far as it is known; in whole calls, tokens, USD or seconds."""
    max: float
    known: bool = True
    """Whether that is all."""
    scope: BudgetScope = "run"

    @property
    def is_near(self) -> bool:
        """Whether 80 % are spent."""
        return self.spent >= NEAR * self.max

    @property
    def is_reached(self) -> bool:
        """Whether all is spent."""
        return self.spent >= self.max


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one run, on by default and generous, or of all runs of a thread; `None` lifts one.

    Checked before each further think call. A call under way is given up at a run's `max_seconds` by `ainvoke` and
    `astream`; the sync forms wait for its end.
    """

    max_calls: int | None = 64
    """Reasoner calls, those of a self-critique included."""
    max_tokens: int | None = 1_000_000
    """Input and output tokens together, as far as the Reasoner reports them."""
    max_usd: float | None = None
    """USD, by the list prices of genai-prices (extra `prices`) unless prices are given."""
    max_seconds: float | None = 600.0
    """Wall-clock seconds since the run began; of a thread the sum over its runs."""
    price_in: float | None = None
    """USD per million input tokens, in place of the list's; free is 0."""
    price_out: float | None = None
    """USD per million output tokens; the two go together."""

    def __post_init__(self) -> None:
        """Check the limits and the prices."""
        for name in ("max_calls", "max_tokens", "max_usd", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{name}` must be positive or None, got {value!r}")
        if self.price_in is not None or self.price_out is not None:
            find_prices([], price_in=self.price_in, price_out=self.price_out)

    @property
    def asks_for_usd(self) -> bool:
        """Whether a run is to say what it cost."""
        return self.max_usd is not None or self.price_in is not None

    def meters(self, spent: Spent, price: Price | None = None) -> Iterator[Meter]:
        """What is spent of each limit that is set."""
        usage, usd = spent["usage"], None if price is None else price.of(spent["usage"])
        known = 0.0 if price is None else price.known(usage)
        tokens = usage["input_tokens"] + usage["output_tokens"]
        if self.max_calls is not None:
            yield Meter("calls", usage["calls"], self.max_calls)
        if self.max_tokens is not None:
            yield Meter("tokens", tokens, self.max_tokens)
        if self.max_usd is not None:
            yield Meter("usd", known, self.max_usd, known=usd is not None)
        if self.max_seconds is not None:
            yield Meter("seconds", spent["seconds"], self.max_seconds)

    def exhausted(self, usage: Usage, seconds: float, price: Price | None = None) -> bool:
        """Whether any limit is reached."""
        return any(meter.is_reached for meter in self.meters({"usage": usage, "seconds": seconds}, price))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The budget of each run and that of its thread, with the price that both count by."""

    run: Budget
    thread: Budget | None = None
    price: Price | None = None

    @classmethod
    def of(cls, reasoner: str, run: Budget, thread: Budget | None = None) -> "Limits":
        """For a Reasoner, by its name in logs: its price is what a budget gives, else the list's if a limit asks.

        Raises:
            ConfigError: the two budgets give different prices.
        """
        budgets = [run] if thread is None else [run, thread]
        given = {(budget.price_in, budget.price_out) for budget in budgets if budget.price_in is not None}
        if len(given) > 1:
            raise ConfigError(f"`budget` and `thread_budget` must count by the same prices, got {given}; give one")
        price_in, price_out = next(iter(given), (None, None))
        if not any(budget.asks_for_usd for budget in budgets):
            return cls(run=run, thread=thread)
        prices = find_prices([reasoner], price_in=price_in, price_out=price_out)
        return cls(run=run, thread=thread, price=prices.by_reasoner[reasoner])

    @property
    def ask_for_usd(self) -> bool:
        """Whether runs are to say what they cost."""
        return self.run.asks_for_usd or (self.thread is not None and self.thread.asks_for_usd)

    def usd(self, usage: Usage) -> float | None:
        """What calls cost; `None` where nobody knows."""
        return None if self.price is None else self.price.of(usage)

    def meters(self, run: Spent, thread: Spent) -> list[Meter]:
        """What is spent of each limit.

        Args:
            run: of this run.
            thread: of its thread, this run included.
        """
        meters = [*self.run.meters(run, self.price)]
        if self.thread is not None:
            meters += (meter._replace(scope="thread") for meter in self.thread.meters(thread, self.price))
        return meters
