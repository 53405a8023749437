"""Which questions are the same one: what attempts are grouped by, and what keeps a question in one split."""

import hashlib
from functools import lru_cache

from drr_agent.grading import normalize_text


@lru_cache(maxsize=16)  # attempts at a question come one after the other
def question_key(question: str) -> str:
    """Sixteen hex digits that questions differing only in case, space and punctuation share."""
    return hashlib.sha256(normalize_text(question).encode("utf-8", "replace")).hexdigest()[:16]
