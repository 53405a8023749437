"""What of a log may be written into a dataset."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from drr_agent.errors import ConfigError
from drr_agent.grading import normalize_text
from drr_agent.questions import question_key
from drr_agent.redaction import MARK, redact

Capture = Literal["full", "digest"]
DIGEST_MARK = "sha256:"
"""Stands before a hash in the place of a text."""


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """What happens to every text before it is written: secrets go, then what the user names, then perhaps all of it."""

    secrets: bool = True
    """Replace what looks like a key."""
    patterns: tuple[str, ...] = ()
    """Regular expressions; what matches becomes `[redacted]`."""
    function: Callable[[str], str] | None = None
    """The user's own, applied last."""
    capture: Capture = "full"
    """`digest` keeps a hash of each text instead of the text: equal texts stay equal, and signals can still train."""

    def __post_init__(self) -> None:
        """Check the patterns."""
        for pattern in self.patterns:
            try:
                matches_empty = re.compile(pattern).search("") is not None
            except re.error as error:
                raise ConfigError(
                    f"a pattern to redact must be a regular expression, got {pattern!r} ({error})"
                ) from error
            if matches_empty:
                raise ConfigError(
                    f"a pattern to redact must match some text, got {pattern!r}, which matches none at all"
                )

    @property
    def name(self) -> str:
        """Says what is done, the same for equal settings; a function counts by its name."""
        function = getattr(self.function, "__qualname__", type(self.function).__name__)
        hashed = hashlib.sha256("\n".join(self.patterns).encode()).hexdigest()[:8]
        parts = ["secrets"] if self.secrets else []
        parts += [f"patterns {hashed}"] if self.patterns else []
        parts += [f"function {function}"] if self.function is not None else []
        return ", ".join(parts) or "none"

    def clean(self, text: str) -> str:
        """The text without what must not be written."""
        text = redact(text) if self.secrets else text
        for pattern in self._compiled:
            text = pattern.sub(MARK, text)
        return text if self.function is None else self.function(text)

    def text(self, text: str) -> str:
        """What is written for a text."""
        text = self.clean(text)
        if self.capture == "full" or not text:
            return text
        return DIGEST_MARK + hashlib.sha256(normalize_text(text).encode("utf-8", "replace")).hexdigest()[:16]

    def question(self, text: str) -> str:
        """What is written for a question; in a hash's place stands its key."""
        return self.text(text) if self.capture == "full" else DIGEST_MARK + question_key(self.clean(text))

    def optional(self, text: str | None) -> str | None:
        """What is written for a text that may be missing."""
        return None if text is None else self.text(text)

    def remark(self, text: str) -> str:
        """What is written of a remark on an entry, which may quote it: nothing where texts are not kept."""
        return self.clean(text) if self.capture == "full" else ""

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern) for pattern in self.patterns)


DEFAULT_REDACTION = Redaction()
"""What looks like a secret goes; the rest stays."""
