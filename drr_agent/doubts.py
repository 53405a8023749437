"""How far the Reasoner wavered, character by character of the text that a DM reads: degrees of doubt.

A degree says between which two log probabilities a token's own lies. A character has the degree of the token that it
came from, so whatever tokens the DM cuts the text into, each has one: the greatest of its characters.
"""

from collections.abc import Iterator
from itertools import pairwise

from drr_agent.dm.protocol import ScoreRequest

_EDGES = (-0.01, -0.05, -0.2, -0.7, -1.6, -3.0, -6.0)
"""In nats: probabilities of 0.99, 0.95, 0.82, 0.5, 0.2, 0.05 and 0.0025. A DM has learned these; they are fixed."""
UNKNOWN = 0
"""The degree of what is no token of the Reasoner's, or of one whose probability is not known."""
DEGREES = len(_EDGES) + 2
"""How many there are: unknown, then from sure to doubtful."""
_MARK = ">"
"""What the text template puts before quoted lines, with a blank."""


def degree(logprob: float) -> int:
    """The degree of doubt of a token, from 1 for a sure one.

    Args:
        logprob: its natural-log probability.
    """
    return 1 + sum(logprob < edge for edge in _EDGES)


def doubts_in(text: str, request: ScoreRequest) -> bytes:
    """The degree of each character of a DM's text.

    Args:
        text: as `drr_agent.encoding` makes it of `request`, cut, quoted, and with blanks put into special tokens.
        request: with the tokens' log probabilities and places; without them every degree is `UNKNOWN`.
    """
    degrees = bytearray(len(text))
    known = _degrees(request)
    _, _, after = text.partition("\nRationale: ")  # no line of another field's text begins like that
    shown, _, _ = after.rpartition("\nAnswer: ")
    start = len(text) - len(after)
    for index, place in _places(shown, request.rationale) if known else ():
        degrees[start + index] = known[place]
    return bytes(degrees)


def _degrees(request: ScoreRequest) -> bytes:
    """The degree of each character of the rationale; nothing where no token is placed."""
    spans, logprobs = request.spans or (), request.logprobs or ()
    doubts: dict[int, int] = {}
    for span, logprob in zip(spans, logprobs, strict=True) if len(spans) == len(logprobs) else ():
        if span is not None and span >= 0:  # parts of one character have one place
            doubts[span] = max(doubts.get(span, UNKNOWN), degree(logprob))
    ends = [*sorted(doubts), len(request.rationale)]
    degrees = bytes(ends[0]) if doubts else b""
    return degrees + b"".join(bytes([doubts[start]]) * (end - start) for start, end in pairwise(ends))


def _places(shown: str, rationale: str) -> Iterator[tuple[int, int]]:
    """Where characters that are shown stand in the rationale: its beginning, and its end where the middle was cut."""
    done = 0
    for index, place in _alike(shown, rationale):
        yield index, place
        done = index + 1
    for index, place in _alike(shown[done:][::-1], rationale[::-1]):
        yield len(shown) - 1 - index, len(rationale) - 1 - place


def _alike(shown: str, said: str) -> Iterator[tuple[int, int]]:
    """Places of the same characters, from the start on as long as only white space and marks differ."""
    place = 0
    for index, character in enumerate(shown):
        while place < len(said) and said[place] != character and said[place].isspace():
            place += 1
        if place < len(said) and said[place] == character:
            yield index, place
            place += 1
        elif character != _MARK and not character.isspace():
            return
