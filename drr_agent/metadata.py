"""What a reply says of itself beside its text: what it cost, why it ended, how likely its tokens were."""

import math
from typing import Any

from langchain_core.messages import AIMessage

from drr_agent.state import Usage

DRAW_SECONDS = "drr_seconds"
"""Key under which a draw that is given again carries how long it first took."""
_LEAST_LOGPROB = -9999.0
"""OpenAI's own word for "as good as impossible"; JSON has no minus infinity."""
_CUT_OFF = {"length", "max_tokens", "model_length", "incomplete"}
_HALF = "\N{REPLACEMENT CHARACTER}"


def read_usage(message: AIMessage) -> Usage:
    """One call's usage; without token counts it is an unmetered call."""
    usage: Any = message.usage_metadata or {}
    given, made = usage.get("input_tokens"), usage.get("output_tokens")
    if not isinstance(given, int) or not isinstance(made, int):
        return {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}
    return {"calls": 1, "unmetered_calls": 0, "input_tokens": given, "output_tokens": made}


def read_logprobs(message: AIMessage) -> list[float] | None:
    """Token log probabilities in nats, where the Reasoner gives them in the OpenAI form."""
    try:
        values = [round(max(float(token["logprob"]), _LEAST_LOGPROB), 4) for token in _tokens(message)]
    except (TypeError, ValueError, KeyError, OverflowError):  # another form than OpenAI's
        return None
    return values if values and all(map(math.isfinite, values)) else None


def read_entropy(message: AIMessage) -> float | None:
    """Mean entropy of the tokens' distributions in nats, where the Reasoner lists alternatives in the OpenAI form.

    A lower bound: what is not among the alternatives that are listed adds nothing to the sum of -p ln p.
    """
    try:
        listed = [[float(one["logprob"]) for one in token.get("top_logprobs") or ()] for token in _tokens(message)]
    except (AttributeError, TypeError, ValueError, KeyError, OverflowError):  # another form than OpenAI's
        return None
    entropies = [sum(map(_surprise, token)) for token in listed if token]
    mean = sum(entropies) / len(entropies) if entropies else math.nan
    return round(mean, 4) if math.isfinite(mean) else None


def read_pieces(message: AIMessage) -> list[bytes | None] | None:
    """What each token spells in UTF-8, where the Reasoner gives tokens in the OpenAI form.

    Returns:
        One entry a token, `None` for a part of a character that is not told; `None` where a token tells no text.
    """
    try:
        return [_piece(token["token"], token.get("bytes")) for token in _tokens(message)]
    except (AttributeError, TypeError, ValueError, KeyError):  # another form than OpenAI's
        return None


def read_seconds(message: AIMessage) -> float | None:
    """How long a remembered draw first took; `None` for a reply that was just made."""
    seconds = message.response_metadata.get(DRAW_SECONDS)
    return float(seconds) if isinstance(seconds, int | float) else None


def read_truncated(message: AIMessage) -> bool | None:
    """Whether the reply ended at its token limit; `None` when the provider does not say why it ended."""
    metadata = message.response_metadata
    reason = next(
        (metadata[key] for key in ("finish_reason", "stop_reason", "done_reason", "status") if metadata.get(key)), None
    )
    return None if reason is None else str(reason).lower() in _CUT_OFF


def _tokens(message: AIMessage) -> Any:
    """The tokens with what is said of each; empty where nothing is."""
    logprobs = message.response_metadata.get("logprobs")
    return (logprobs.get("content") if isinstance(logprobs, dict) else None) or ()


def _surprise(logprob: float) -> float:
    """A token's part of the entropy, -p ln p."""
    bounded = min(max(logprob, _LEAST_LOGPROB), 0.0)
    return abs(bounded) * math.exp(bounded)


def _piece(text: str, spelled: list[int] | None) -> bytes | None:
    """A token's bytes, from its text where they are not listed; half of a character is no text."""
    if spelled is not None:
        return bytes(list(spelled))  # of a bare number `bytes` makes so many zeros
    return None if _HALF in text else text.encode("utf-8", "replace")
