"""The words of a text, counted once for every signal that looks at them."""

import re
from collections import Counter
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def fold(text: str) -> str:
    """The text without the difference of cases and of apostrophes."""
    return text.casefold().replace("’", "'")


@lru_cache(maxsize=16)
def count_words(text: str) -> Counter[str]:
    """How often each word stands in the text; a contraction is one word. Not to be changed: it is remembered."""
    return Counter(_WORD.findall(fold(text)))
