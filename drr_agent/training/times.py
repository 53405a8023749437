"""Times of other people's logs as one kind of text, which sorts as they happened."""

import math
from datetime import UTC, datetime
from typing import Any

_SECONDS_PER_UNIT = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Least count since 1970 that must be nanoseconds, microseconds, milliseconds (of any date after 1973)."""


def to_utc(value: Any) -> str | None:
    """A time as ISO 8601 in UTC, to the millisecond.

    Args:
        value: a `datetime`, ISO 8601 text (without an offset it is taken as UTC), or seconds, milliseconds,
            microseconds or nanoseconds since 1970, as a number or its digits.

    Returns:
        `None` for what is no time.
    """
    try:
        moment = value if isinstance(value, datetime) else _parse(value)
    except (ValueError, OverflowError, OSError):
        return None
    if moment is None:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError:  # the first or last hours of the calendar
        return None


def _parse(value: Any) -> datetime | None:
    if isinstance(value, str):
        text = value.strip()
        return _since_1970(float(text)) if text.replace(".", "", 1).isdecimal() else datetime.fromisoformat(text)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return _since_1970(float(value))
    return None


def _since_1970(count: float) -> datetime:
    unit = next((per_second for least, per_second in _SECONDS_PER_UNIT if abs(count) >= least), 1.0)
    return datetime.fromtimestamp(count / unit, UTC)
