"""What a run may cost. Counted by us, since LangGraph's recursion limit restarts in every subgraph."""

from dataclasses import dataclass, fields

from drr_agent.errors import ConfigError
from drr_agent.state import Usage


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one run, on by default and generous; `None` lifts one. Checked before each further think call.

    A call under way is given up at `max_seconds` by `ainvoke` and `astream`; the sync forms wait for its end.
    """

    max_calls: int | None = 64
    """Reasoner calls, those of a self-critique included."""
    max_tokens: int | None = 1_000_000
    """Input and output tokens together, as far as the Reasoner reports them."""
    max_seconds: float | None = 600.0
    """Wall-clock seconds since the run began."""

    def __post_init__(self) -> None:
        """Check the limits."""
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{limit.name}` must be positive or None, got {value!r}")

    def exhausted(self, usage: Usage, seconds: float) -> bool:
        """Whether any limit is reached."""
        spent = (
            (usage["calls"], self.max_calls),
            (usage["input_tokens"] + usage["output_tokens"], self.max_tokens),
            (seconds, self.max_seconds),
        )
        return any(limit is not None and amount >= limit for amount, limit in spent)
