"""Which questions are the same one, so that their attempts compare, and which are so alike that no split parts them."""

import hashlib
import re
import unicodedata
from functools import lru_cache

_HALF = 8
_KEY = re.compile(f"[0-9a-f]{{{2 * _HALF}}}")
_QUOTES, _DOUBLE_QUOTES, _DASHES = "‘’‛′", "“”„″«»", "‐‑‒–—−"
_PLAIN_SIGNS = str.maketrans(
    {**dict.fromkeys(_QUOTES, "'"), **dict.fromkeys(_DOUBLE_QUOTES, '"'), **dict.fromkeys(_DASHES, "-")}
)
"""Signs as a keyboard has them."""


@lru_cache(maxsize=16)  # attempts at a question come one after the other
def question_key(question: str) -> str:
    """Sixteen hex digits: eight that near-duplicates share (`unit_of`), and eight of the question itself.

    Questions have the same key if they differ only in case, space, the form of quotes and dashes, and a question mark
    or full stop at the end: `5!` and `5?` are two questions, and so are `(2 + 3) * 4` and `2 + (3 * 4)`.
    """
    letters = "".join(sign for sign in unicodedata.normalize("NFKC", question).casefold() if sign.isalnum())
    # composed and no more: `2³` is another number than `23`
    itself = " ".join(unicodedata.normalize("NFC", question).casefold().translate(_PLAIN_SIGNS).split())
    return _digits(letters or itself) + _digits(itself.rstrip(" .?") or itself)


def unit_of(key: str) -> str:
    """What counts as one question wherever questions are taken to be independent: in splits, folds, tests, intervals.

    It is the half of a question's key that it shares with all whose letters and digits are the same, in order. They
    differ in case, space, punctuation and signs, and perhaps in what they ask: to take two questions for one costs
    little, and to count one twice makes luck look sure. Attempts are compared within a question by its whole key.

    Args:
        key: a `question_key`; any other text is a unit of its own.
    """
    return key[:_HALF] if _KEY.fullmatch(key) else key


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_HALF]
