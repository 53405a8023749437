"""How a Reasoner fails: what another try may mend, and what not."""

import sys
from http import HTTPStatus

from drr_agent.errors import http_status

_TRANSPORTS = ("httpx", "httpx2")
_TRANSIENT_STATUS = (408, 409, 429)
"""Time-out, conflict and rate limit; every server error besides."""


def is_transient(error: Exception) -> bool:
    """Whether another try may mend an error of a Reasoner, by its class or by the HTTP status that it carries."""
    status = http_status(error)
    return isinstance(error, transient_failures()) or status in _TRANSIENT_STATUS or 500 <= (status or 0) <= 599


def transient_failures() -> tuple[type[Exception], ...]:
    """Classes of such errors: time-outs, connections, rate limits, server errors."""
    import openai  # a core dependency, but slow to import

    # providers' clients pass these on when a reply breaks off; what no client has loaded raises nothing
    transports = [sys.modules[name].TransportError for name in _TRANSPORTS if name in sys.modules]
    theirs = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
    return (TimeoutError, ConnectionError, *transports, *theirs)


def costs_its_call(error: Exception) -> bool:
    """Whether an error concerns one call alone: another try may mend it, or the provider refuses to read that text."""
    return is_transient(error) or http_status(error) == HTTPStatus.BAD_REQUEST
