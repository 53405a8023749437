"""What the readers of files of traces have in common."""

from dataclasses import dataclass, field
from pathlib import Path

from drr_agent.parsing import Parser, WholeMessage
from drr_agent.training.sources.protocol import Unit


@dataclass(frozen=True, kw_only=True)
class TraceFile:
    """A file of traces, and how it is read."""

    path: Path
    parser: Parser = field(default_factory=WholeMessage)
    """How a plain agent's answer is read out of its reply."""
    unit: Unit = "auto"

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def expected(self) -> int | None:
        """Unknown: the spans of a trace may stand anywhere."""
        return None
