"""Tokens to text as they come: in whole characters, and never past a stop sequence."""

from collections.abc import Callable, Sequence

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a decoder shows for the first bytes of a character that goes on in the next token."""


def find_stop(text: str, stop: Sequence[str], start: int = 0) -> int | None:
    """Where the first stop sequence begins in the text from `start` on, if there is one."""
    return min((found for sequence in stop if (found := text.find(sequence, start)) >= 0), default=None)


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """The text before its first stop sequence."""
    return text[: find_stop(text, stop)]


class Transcript:
    """The text of one growing token sequence.

    Args:
        decode: turns token ids into text.
        stop: sequences that end the text, none of them empty.
        emit: is given each new piece of text once no stop sequence can begin in it.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], *, stop: Sequence[str], emit: Callable[[str], None] | None
    ) -> None:
        self._decode = decode
        self._stop = stop
        self._emit = emit
        self._longest = max(map(len, stop), default=0)
        self._tokens: list[int] = []
        self._window = 0
        self._read = 0
        self._text = ""
        self._emitted = 0

    def push(self, token: int) -> bool:
        """Add a token; true when a stop sequence is complete."""
        self._tokens.append(token)
        piece = self._next_piece()
        start = max(0, len(self._text) - self._longest)
        self._text += piece
        cut = find_stop(self._text, self._stop, start)
        self._release(len(self._text) - self._held() if cut is None else cut)
        return cut is not None

    def _next_piece(self) -> str:
        """The whole characters since the last piece, decoded with it: how a token reads can depend on its neighbor."""
        known = self._decode(self._tokens[self._window : self._read])
        window = self._decode(self._tokens[self._window :])
        if window.endswith(INCOMPLETE) or len(window) <= len(known):
            return ""
        self._window, self._read = self._read, len(self._tokens)
        return window[len(known) :]

    def _held(self) -> int:
        """The length of the text's end that may be the beginning of a stop sequence."""
        return next(
            (
                length
                for length in range(min(self._longest - 1, len(self._text)), 0, -1)
                if any(sequence.startswith(self._text[-length:]) for sequence in self._stop)
            ),
            0,
        )

    def _release(self, end: int) -> None:
        if self._emit is not None and end > self._emitted:
            self._emit(self._text[self._emitted : end])
            self._emitted = end
