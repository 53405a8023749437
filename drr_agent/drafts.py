"""A reply, or the failure to get one, as a draft: what every attempt begins as, made here or read from a trace."""

from langchain_core.messages import AIMessage

from drr_agent.metadata import read_entropy, read_logprobs, read_seconds, read_truncated, read_usage
from drr_agent.parsing import Reply, clean_text
from drr_agent.redaction import redact
from drr_agent.spans import read_spans
from drr_agent.state import Draft, FeedbackKind


def read_draft(reply: Reply, raw: AIMessage, *, feedback: FeedbackKind, seconds: float) -> Draft:
    """A reply that came.

    Args:
        reply: as the parser read it.
        raw: the message itself, which says what it cost.
        feedback: how the Reasoner was asked.
        seconds: how long it took, unless the message is a remembered one and says so itself.
    """
    first, entropy, logprobs = read_seconds(raw), read_entropy(raw), read_logprobs(raw)
    spans = None if logprobs is None else read_spans(raw, reply.rationale)
    draft: Draft = {
        "rationale": reply.rationale,
        "answer": reply.answer,
        "truncated": read_truncated(raw),
        "logprobs": logprobs,
        "feedback": feedback,
        "error": None,
        "usage": read_usage(raw),
        "seconds": round(seconds, 4) if first is None else first,
    }
    if spans is not None:
        draft["spans"] = spans
    if entropy is not None:
        draft["entropy"] = entropy
    return draft


def failed_draft(error: str, *, feedback: FeedbackKind, seconds: float) -> Draft:
    """A call that failed: paid for, perhaps, and not a wrong answer."""
    return {
        "rationale": "",
        "answer": None,
        "truncated": None,
        "logprobs": None,
        "feedback": feedback,
        "error": clean_text(redact(error)),
        "usage": {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0},
        "seconds": round(seconds, 4),
    }
