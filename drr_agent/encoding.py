"""The text a DM sees for an attempt, in training and at run time alike.

The form is, with the context line only where there is a conversation before the question:

    Context: …
    Question: …
    Rationale: …
    Answer: …

The answer stands last, where a decoder pools. When the text is too long, the middle of the rationale goes first, then
the middle of the context, then the middle of the question; the answer goes last of all. A field's text cannot fake
another field: a line that opens with a field name is quoted, whatever ends the line before it. `TEMPLATE_DIGEST` is
saved with every DM and checked at load.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drr_agent.dm.protocol import ScoreRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIELDS = ("Context", "Question", "Rationale", "Answer")
_BEFORE_FIELD = re.compile(rf"(?<!\s)\s*(?=(?:{'|'.join(FIELDS)})\s*:)", re.IGNORECASE)
"""The white space that a field name follows, from its first character: a search from each would be quadratic."""
_CUT = " … "
_MOST_CHARS_PER_TOKEN = 16
"""No tokenizer packs text denser for long; keeps a 10 MB rationale away from the tokenizer."""
_MARGIN = 100
"""Characters kept for quoting beyond twice what can stay: where they end, a field line may be torn."""
_VERSION = "1: trim rationale, context, question, answer; keep both ends; quote field lines with '> '"

TEMPLATE_DIGEST = hashlib.sha256("\n".join([*FIELDS, _CUT, _VERSION]).encode()).hexdigest()[:12]


def encode(request: ScoreRequest, *, max_chars: int) -> str:
    """The DM's input text, at most `max_chars` characters long where the field names leave room for it."""
    texts = dict(zip(FIELDS, (request.context, request.question, request.rationale, request.answer), strict=True))
    parts = {name: _quote(text, most=2 * max_chars + _MARGIN) for name, text in texts.items()}
    if not parts["Context"]:
        del parts["Context"]
    excess = sum(len(name) + 2 + len(text) for name, text in parts.items()) + len(parts) - 1 - max_chars
    for name in ("Rationale", "Context", "Question", "Answer"):
        if excess > 0 and name in parts:
            kept = _keep_ends(parts[name], len(parts[name]) - excess)
            excess -= len(parts[name]) - len(kept)
            parts[name] = kept
    return "\n".join(f"{name}: {text}" for name, text in parts.items())


def _quote(text: str, *, most: int) -> str:
    """The text with lines of its own marked where they look like a field; its middle goes first where it is long."""
    lines = "\n".join(text.strip().splitlines())  # all that a reader may take for the end of a line
    return _BEFORE_FIELD.sub(_mark_lines, _keep_ends(lines, most))


def _mark_lines(white: re.Match[str]) -> str:
    """White space before a field name, every line that begins in it marked."""
    return ("" if white.start() else "> ") + white.group().replace("\n", "\n> ")


def _keep_ends(text: str, length: int) -> str:
    """The text cut in its middle to at most `length` characters; its end gets the larger half."""
    room = length - len(_CUT)
    if len(text) <= length:
        return text
    if room < 2:
        return ""
    head = room // 2
    return text[:head] + _CUT + text[len(text) - (room - head) :]


def encode_tokens(
    requests: Sequence[ScoreRequest], tokenizer: "PreTrainedTokenizerBase", *, max_length: int
) -> list[list[int]]:
    """Token ids with the tokenizer's special tokens, at most `max_length` per request.

    A text that is too long is shortened by `encode`, in characters, until its tokens fit: what is cut away is chosen
    by its meaning, never by the tokenizer's own truncation. A special token that an attempt spells out is plain text.
    """
    texts = [encode(request, max_chars=max_length * _MOST_CHARS_PER_TOKEN) for request in requests]
    rows = _tokenize(texts, tokenizer)
    for index, request in enumerate(requests):
        limit = len(texts[index])
        while len(rows[index]) > max_length and limit > 1:
            limit = min(limit - 1, limit * max_length // len(rows[index]))
            (rows[index],) = _tokenize([encode(request, max_chars=limit)], tokenizer)
    return [row[:max_length] for row in rows]


def _tokenize(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Token ids a text; the only special ones are those that the tokenizer adds."""
    if not texts:
        return []
    plain = [_break_up(text, tokenizer.all_special_tokens) for text in texts]
    rows: list[list[int]] = tokenizer(plain, add_special_tokens=True, split_special_tokens=True)["input_ids"]
    return rows


def _break_up(text: str, tokens: Sequence[str]) -> str:
    """The text with a blank inside each of these tokens: a Unigram vocabulary finds its special ones in any text."""
    for token in tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
