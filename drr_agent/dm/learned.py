"""Which questions a DM has learned from: `questions.txt` in its folder, so that an evaluation can leave them out."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from drr_agent.lines import write_whole

QUESTIONS = "questions.txt"
"""The file in the folder."""
APART = "# a key alone: trained on; with `calibrated` after it: not trained on, but calibrated or certified on"
"""The first line of `questions.txt`; one of an older version has none, and mixes them."""
_CALIBRATED = "calibrated"


class Learned(NamedTuple):
    """Keys of the questions that a DM has learned from; see `questions.question_key`."""

    seen: frozenset[str]
    trained: frozenset[str]
    """Those of them that it was trained on; empty where nobody recorded it."""

    @classmethod
    def of(cls, lines: Collection[str]) -> Self:
        """From the lines of a `questions.txt`."""
        words = [line.split() for line in lines if not line.startswith("#")]
        trained = {key for key, *mark in filter(None, words) if _CALIBRATED not in mark}
        return cls(frozenset(key for key, *_ in filter(None, words)), frozenset(trained if APART in lines else ()))


def calibrated_lines(keys: Iterable[str]) -> Iterator[str]:
    """Lines of `questions.txt` for questions that a DM was calibrated or certified on."""
    return (f"{key} {_CALIBRATED}" for key in keys)


def read_questions(path: Path) -> frozenset[str]:
    """The lines that say which questions the DM has learned from, for `Learned.of`; none where there is no file."""
    file = path / QUESTIONS
    return frozenset(file.read_text("utf-8", errors="replace").splitlines()) if file.is_file() else frozenset()


def add_questions(path: Path, lines: Iterable[str]) -> None:
    """Record questions beside those recorded: keys of those trained on, or `calibrated_lines` of others."""
    known = sorted({*(read_questions(path) or [APART]), *lines})
    write_whole(path / QUESTIONS, "".join(f"{line}\n" for line in known))
