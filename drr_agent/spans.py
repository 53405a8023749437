"""Where a Reasoner's tokens stand in the rationale that was read from its reply."""

import codecs
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from langchain_core.messages import AIMessage

from drr_agent.metadata import read_pieces
from drr_agent.parsing import clean_text

_SEAMS = re.compile(r"</?think(?:ing)?>|\n", re.IGNORECASE)
"""Where a parser may have taken a reply apart."""
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u....|u....|.)|[^\\]+|\\", re.DOTALL)
"""An escape of JSON, a pair of surrogates being one, or what stands between two."""


class _Spelled(NamedTuple):
    """What the tokens say together."""

    text: str
    starts: list[int]
    """Where each token begins; one that begins within a character, at that character."""


def read_spans(message: AIMessage, rationale: str) -> list[int | None] | None:
    """Where each token stands in the rationale, whichever parser read it.

    Args:
        message: the reply, with its tokens in the OpenAI form.
        rationale: made of parts of the reply, which may be escaped as JSON there.

    Returns:
        For each token the index in `rationale` of its first character that is there, `None` for a token that has
        none: of the answer's line, a tag, JSON around the rationale, white space that was stripped. `None` where no
        token can be placed, or the tokens do not spell the reply.
    """
    pieces = read_pieces(message)
    spelled = _spell(pieces, clean_text(str(message.text))) if pieces and rationale else None
    if pieces is None or spelled is None:
        return None
    places = _places(spelled.text, rationale)
    ends = [*spelled.starts[1:], len(places)]
    spans = [
        _first(places[start : max(end, start + 1)]) if piece != b"" else None
        for piece, start, end in zip(pieces, spelled.starts, ends, strict=True)
    ]
    return spans if _first(spans) is not None else None


def _first(places: Sequence[int | None]) -> int | None:
    return next((place for place in places if place is not None), None)


def _spell(pieces: Sequence[bytes | None], reply: str) -> _Spelled | None:
    """The tokens' text; `None` where the reply is not in it. There may be more: reasoning, what a stop cut away."""
    if None in pieces:
        return _follow(pieces, reply)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    said = [decoder.decode(piece or b"") for piece in pieces]
    starts = _cumulated(0, said)
    text = "".join(said) + decoder.decode(b"", final=True)
    return _Spelled(text, starts[:-1]) if reply.strip() in text else None


def _follow(pieces: Sequence[bytes | None], reply: str) -> _Spelled | None:
    """The tokens' places in the reply, where some are parts of characters that nobody tells."""
    starts: list[int] = []
    place, is_gap = 0, False
    for is_told, run in groupby(pieces, key=lambda piece: piece is not None):
        said = [(piece or b"").decode("utf-8", "replace") for piece in run]
        found = reply.find("".join(said), place + is_gap) if is_told else place
        if found < 0 or (found > place and not is_gap):
            return None
        *begun, place = _cumulated(found, said)
        starts += begun
        is_gap = not is_told
    return _Spelled(reply, starts)


def _cumulated(start: int, texts: Sequence[str]) -> list[int]:
    """Where each text begins, the first one at `start`, and where the last one ends."""
    starts = [start]
    for text in texts:
        starts.append(starts[-1] + len(text))
    return starts


def _places(said: str, rationale: str) -> list[int | None]:
    """For each character that was said its index in the rationale."""
    places: list[int | None] = [None] * len(said)
    whole = said.find(rationale)
    if whole >= 0:
        places[whole : whole + len(rationale)] = range(len(rationale))
        return places
    plain, offsets = _unescaped(said)
    whole = plain.find(rationale)
    if whole >= 0:
        for index, offset in enumerate(offsets[whole : whole + len(rationale)]):
            places[offset] = index
        return places
    for at, index, length in _lines(said, rationale):
        places[at : at + length] = range(index, index + length)
    return places


def _lines(said: str, rationale: str) -> Iterator[tuple[int, int, int]]:
    """The lines of a rationale that was put together of parts: place in what was said, in the rationale, length."""
    lines: defaultdict[str, deque[int]] = defaultdict(deque)
    seams = [(0, 0), *(seam.span() for seam in _SEAMS.finditer(said)), (len(said), len(said))]
    for (_, start), (end, _) in pairwise(seams):
        line = said[start:end]
        lines[line.strip()].append(start + len(line) - len(line.lstrip()))
    index = 0
    for line in rationale.split("\n"):
        known = line.strip()
        if known and lines[known]:
            yield lines[known].popleft(), index + len(line) - len(line.lstrip()), len(known)
        index += len(line) + 1


def _unescaped(said: str) -> tuple[str, list[int]]:
    """The text with JSON's escapes undone, and where each character of it stood."""
    characters: list[str] = []
    offsets: list[int] = []
    for found in _ESCAPE.finditer(said) if "\\" in said else ():
        text = clean_text(_unescape(found.group()))
        characters.append(text)
        offsets += [found.start()] if len(text) == 1 else range(found.start(), found.end())
    return "".join(characters), offsets


def _unescape(text: str) -> str:
    if not text.startswith("\\"):
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
