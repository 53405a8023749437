"""The signals of logged attempts as arrays, each read when it is first asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.training.logged import LabelledQuestion


@dataclass(frozen=True, kw_only=True, eq=False)
class SignalTables:
    """A table a signal, of shape (questions, attempts); NaN where it is missing, and past a question's end."""

    questions: Sequence[LabelledQuestion]
    _known: dict[str, Floats] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Questions, and attempts of the longest."""
        return len(self.questions), self._within.shape[1]

    def of(self, name: str) -> Floats:
        """The table of one signal."""
        if name not in self._known:
            table = np.full(self.shape, np.nan)
            values = [attempt["signals"].get(name) for question in self.questions for attempt in question.attempts]
            table[self._within] = np.array(values, dtype=np.float64)
            self._known[name] = table
        return self._known[name]

    def told(self, tables: Mapping[str, Floats]) -> "SignalTables":
        """The same with other values of some signals."""
        return SignalTables(questions=self.questions, _known={**self._known, **tables})

    @cached_property
    def _within(self) -> Bools:
        """Where there is an attempt."""
        counts = np.array([len(question.attempts) for question in self.questions])
        return np.arange(counts.max(initial=0)) < counts[:, None]
