"""The text a DM sees for an attempt, in training and at run time alike.

The form is, with the Reasoner line only for a DM that reads its name, and the context line only where there is a
conversation before the question:

    Reasoner: …
    Context: …
    Question: …
    Rationale: …
    Answer: …

The answer stands last, where a decoder pools. When the text is too long, the rationale is cut first, but to no less
than half of the room while there is a context, which is cut then; after them what is left of the rationale, the name,
the question, and last of all the answer. Each keeps a beginning and, three times as long, its end: the steps that led
to the answer, the last that was said before the question. A field's text cannot fake another field: a line that opens
with a field name is quoted, whatever ends the line before it. `TEMPLATE_DIGEST` is saved with every DM and checked at
load.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from drr_agent.dm.protocol import ScoreRequest
from drr_agent.doubts import UNKNOWN, doubts_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIELDS = ("Context", "Question", "Rationale", "Answer")
_NAMED_FIELDS = ("Reasoner", *FIELDS)
"""Of a text with the Reasoner's name. In a text without it, a line that opens with this word is a line like any."""
_CUTS = (("Rationale", 2), ("Context", 0), ("Rationale", 0), ("Reasoner", 0), ("Question", 0), ("Answer", 0))
"""In this order: what is cut, and to no less than which part of the room (one in two), 0 for to nothing."""


def _before(fields: Sequence[str]) -> re.Pattern[str]:
    """The white space that a field name follows, from its first character: a search from each would be quadratic."""
    return re.compile(rf"(?<!\s)\s*(?=(?:{'|'.join(fields)})\s*:)", re.IGNORECASE)


_BEFORE_FIELD, _BEFORE_NAMED_FIELD = _before(FIELDS), _before(_NAMED_FIELDS)
_CUT = " … "
_MOST_CHARS_PER_TOKEN = 16
"""No tokenizer packs text denser for long; keeps a 10 MB rationale away from the tokenizer."""
_MARGIN = 100
"""Characters kept for quoting beyond twice what can stay: where they end, a field line may be torn."""
_HEAD = 4
"""One character in four of what stays is from the beginning: of the ways to cut a long text, a short head with a long
tail served a classifier best in Sun et al. 2019 (arXiv 1905.05583)."""
_VERSION = (
    "2: trim rationale to half, context, rationale, name, question, answer; keep a quarter head; "
    "quote field lines with '> '; name the Reasoner first where it is given"
)

_PLAIN = {"add_special_tokens": True, "split_special_tokens": True}
"""How a tokenizer is asked: its own special tokens stand around a text, and none in it."""

TEMPLATE_DIGEST = hashlib.sha256("\n".join([*FIELDS, _CUT, _VERSION]).encode()).hexdigest()[:12]


class DoubtedTokens(NamedTuple):
    """An attempt as a DM reads it that sees where the Reasoner wavered."""

    tokens: list[int]
    doubts: list[int]
    """One degree a token, from `UNKNOWN` to `DEGREES - 1`; see `drr_agent.doubts`."""


def encode(request: ScoreRequest, *, max_chars: int) -> str:
    """The DM's input text, at most `max_chars` characters long where the field names leave room for it."""
    texts = dict(zip(FIELDS, (request.context, request.question, request.rationale, request.answer), strict=True))
    names = _BEFORE_FIELD if request.reasoner is None else _BEFORE_NAMED_FIELD
    given = {**({} if request.reasoner is None else {"Reasoner": request.reasoner}), **texts}
    parts = {name: _quote(text, names, most=2 * max_chars + _MARGIN) for name, text in given.items()}
    if not parts["Context"]:
        del parts["Context"]
    excess = sum(len(name) + 2 + len(text) for name, text in parts.items()) + len(parts) - 1 - max_chars
    for name, part in _CUTS:
        if excess > 0 and name in parts:
            least = max_chars // part if part else 0
            kept = _keep_ends(parts[name], max(least, len(parts[name]) - excess))
            excess -= len(parts[name]) - len(kept)
            parts[name] = kept
    return "\n".join(f"{name}: {text}" for name, text in parts.items())


def _quote(text: str, names: re.Pattern[str], *, most: int) -> str:
    """The text with lines of its own marked where they look like a field; its middle goes first where it is long."""
    lines = "\n".join(text.strip().splitlines())  # all that a reader may take for the end of a line
    return names.sub(_mark_lines, _keep_ends(lines, most))


def _mark_lines(white: re.Match[str]) -> str:
    """White space before a field name, every line that begins in it marked."""
    return ("" if white.start() else "> ") + white.group().replace("\n", "\n> ")


def _keep_ends(text: str, length: int) -> str:
    """The text cut in its middle to at most `length` characters; its end gets the larger part."""
    room = length - len(_CUT)
    if len(text) <= length:
        return text
    if room < 2:
        return ""
    head = room // _HEAD
    return text[:head] + _CUT + text[len(text) - (room - head) :]


def encode_tokens(
    requests: Sequence[ScoreRequest], tokenizer: "PreTrainedTokenizerBase", *, max_length: int
) -> list[list[int]]:
    """Token ids with the tokenizer's special tokens, at most `max_length` per request.

    A text that is too long is shortened by `encode`, in characters, until its tokens fit: what is cut away is chosen
    by its meaning, never by the tokenizer's own truncation. A special token that an attempt spells out is plain text.
    """
    return [row[:max_length] for _, row in _fit(requests, tokenizer, max_length)]


def encode_doubts(
    requests: Sequence[ScoreRequest], tokenizer: "PreTrainedTokenizerBase", *, max_length: int
) -> list[DoubtedTokens]:
    """`encode_tokens`, and with each token how far the Reasoner wavered there.

    Args:
        requests: those without log probabilities and their places have no degree that is known.
        tokenizer: one that gives the offsets of its tokens.
        max_length: as in `encode_tokens`.
    """
    fitted = _fit(requests, tokenizer, max_length)
    plain = [_break_up(text, tokenizer.all_special_tokens) for text, _ in fitted]
    offsets = tokenizer(plain, **_PLAIN, return_offsets_mapping=True)["offset_mapping"] if plain else []
    degrees = [doubts_in(text, request) for text, request in zip(plain, requests, strict=True)]
    return [
        DoubtedTokens(row[:max_length], [max(known[start:end], default=UNKNOWN) for start, end in spans[:max_length]])
        for (_, row), known, spans in zip(fitted, degrees, offsets, strict=True)
    ]


def _fit(
    requests: Sequence[ScoreRequest], tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> list[tuple[str, list[int]]]:
    """Texts and tokens, at most `max_length` where the field names leave room for it."""
    texts = [encode(request, max_chars=max_length * _MOST_CHARS_PER_TOKEN) for request in requests]
    rows = _tokenize(texts, tokenizer)
    for index, request in enumerate(requests):
        limit = len(texts[index])
        while len(rows[index]) > max_length and limit > 1:
            limit = min(limit - 1, limit * max_length // len(rows[index]))
            texts[index] = encode(request, max_chars=limit)
            (rows[index],) = _tokenize(texts[index : index + 1], tokenizer)
    return list(zip(texts, rows, strict=True))


def _tokenize(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Token ids a text; the only special ones are those that the tokenizer adds."""
    if not texts:
        return []
    plain = [_break_up(text, tokenizer.all_special_tokens) for text in texts]
    rows: list[list[int]] = tokenizer(plain, **_PLAIN)["input_ids"]
    return rows


def _break_up(text: str, tokens: Sequence[str]) -> str:
    """The text with a blank inside each of these tokens: a Unigram vocabulary finds its special ones in any text."""
    for token in tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
