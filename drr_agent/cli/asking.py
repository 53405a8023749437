"""A human is asked about attempts, one after the other, at a terminal or through a pipe."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Literal

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from drr_agent.cli.console import printable
from drr_agent.errors import ConfigError, DataError
from drr_agent.state import Label
from drr_agent.training.labels.judge import excerpt
from drr_agent.training.labels.queue import Candidate, Session

Key = Literal["y", "n", "s", "b", "q"]

_WORDS: dict[Key, str] = {"y": "yes", "n": "no", "s": "skip", "b": "back", "q": "quit"}
_KEYS: dict[str, Key] = {said: key for key, word in _WORDS.items() for said in (key, word)}
_VALUES: dict[Key, Label | None] = {"y": "correct", "n": "incorrect", "s": None}
_PROMPT = "right? y(es), n(o), s(kip), b(ack), q(uit): "
_LONGEST_SHOWN = 6_000
"""Characters of one text on the screen."""


def require_answers() -> None:
    """Refuse to ask where nobody can answer.

    Raises:
        ConfigError: standard input is neither a terminal nor answers that are piped in.
    """
    if sys.stdin is None or _is_empty_device():
        raise ConfigError(
            "expected a terminal to ask in, got a standard input that gives nothing; run it in a terminal, or pipe "
            "answers in, one of y, n, s, b, q a line"
        )


def ask_about(candidates: Iterable[Candidate], session: Session, console: Console, *, count: int) -> None:
    """Show attempts and take answers, until there are no more of either.

    Args:
        candidates: what is shown, in this order.
        session: takes the answers.
        console: where to show it.
        count: how many candidates there are.
    """
    waiting, again = iter(candidates), list[Candidate]()
    while (candidate := again.pop() if again else next(waiting, None)) is not None:
        _show(candidate, console, heading=f"{session.labelled + session.skipped + 1} of {count}")
        key = _read_key(console)
        if key == "q":
            return
        if key == "b":
            again.append(candidate)
            again.extend(_taken_back(session, console))
        else:
            session.say(candidate, _VALUES[key])


def _taken_back(session: Session, console: Console) -> Iterator[Candidate]:
    candidate = session.undo()
    if candidate is None:
        console.print("nothing to take back", style="yellow")
    else:
        yield candidate


def _read_key(console: Console) -> Key:
    """The next answer that is one; the end of the input is a `q`."""
    while True:
        console.print(_PROMPT, style="bold", end="", highlight=False)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            raise DataError(f"expected answers as text, got {error}; type or pipe y, n, s, b or q") from error
        if not line:
            console.print()
            return "q"
        key = _KEYS.get(line.strip().lower())
        if key is not None:
            return key


def _show(candidate: Candidate, console: Console, *, heading: str) -> None:
    """An attempt as its Reasoner made it. Its score and what machines said of it would sway whoever looks."""
    row = candidate.row
    console.print(f"\n── {heading} ── {row['reasoner']}, turn {row['turn']}", style="dim", highlight=False)
    for name in ("context", "question", "rationale", "target", "answer"):
        text = row[name]
        if text is not None and text.strip():
            console.print(name, style="dim")
            # indented to the last wrapped line: no text can pass for the prompt
            console.print(Padding(Text(printable(excerpt(text, _LONGEST_SHOWN))), (0, 0, 0, 4), expand=False))


def _is_empty_device() -> bool:
    """Whether standard input is a device but no terminal, as in a service or a container that nobody attached to."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # a stream of a program's own
        return False
    return stat.S_ISCHR(mode) and not sys.stdin.isatty()
