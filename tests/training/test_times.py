"""Times of other people's logs."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.times import to_utc

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        pytest.param("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000+00:00", id="Z"),
        pytest.param("2026-03-01T10:00:00+05:30", "2026-03-01T04:30:00.000+00:00", id="an offset"),
        pytest.param("2026-03-01T00:30:00+05:30", "2026-02-28T19:00:00.000+00:00", id="a day before"),
        pytest.param("2026-03-01T10:00:00", "2026-03-01T10:00:00.000+00:00", id="no offset is UTC"),
        pytest.param("2026-03-01 10:00:00", "2026-03-01T10:00:00.000+00:00", id="a space"),
        pytest.param("2026-03-01", "2026-03-01T00:00:00.000+00:00", id="a day"),
        pytest.param(" 2026-03-01T10:00:00Z\n", "2026-03-01T10:00:00.000+00:00", id="spaces around"),
        pytest.param("2026-03-01T10:00:00.123456Z", "2026-03-01T10:00:00.123+00:00", id="microseconds"),
        pytest.param("2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123+00:00", id="nanoseconds in text"),
        pytest.param(datetime(2026, 3, 1, 10), "2026-03-01T10:00:00.000+00:00", id="a naive datetime"),
        pytest.param(datetime(2026, 3, 1, 10, tzinfo=INDIA), "2026-03-01T04:30:00.000+00:00", id="a datetime"),
        pytest.param(1_772_359_200, "2026-03-01T10:00:00.000+00:00", id="seconds"),
        pytest.param(1_772_359_200.5, "2026-03-01T10:00:00.500+00:00", id="half seconds"),
        pytest.param(1_772_359_200_500, "2026-03-01T10:00:00.500+00:00", id="milliseconds"),
        pytest.param(1_772_359_200_500_000, "2026-03-01T10:00:00.500+00:00", id="microseconds since 1970"),
        pytest.param(1_772_359_200_500_000_000, "2026-03-01T10:00:00.500+00:00", id="nanoseconds"),
        pytest.param("1772359200500000000", "2026-03-01T10:00:00.500+00:00", id="nanoseconds as digits"),
        pytest.param("1772359200.5", "2026-03-01T10:00:00.500+00:00", id="seconds as digits"),
        pytest.param(0, "1970-01-01T00:00:00.000+00:00", id="the beginning"),
        pytest.param(-1.5, "1969-12-31T23:59:58.500+00:00", id="before the beginning"),
        pytest.param("0099-01-01", "0099-01-01T00:00:00.000+00:00", id="long ago, padded"),
    ],
)
def test_what_is_a_time(value, moment):
    assert to_utc(value) == moment


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", "now", "soon", "2026-13-01", "2026-02-30T00:00:00Z", "T", "1e9", "-5", "1.2.3", "٫", "²"),
        *(True, False, [], {}, b"2026-03-01", date(2026, 3, 1), print),
        *(float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e300, "9" * 400, "9" * 5_000_000),
        *("0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30", "2026-03-01T10:00:00+99:99"),
        *("2026-03-01T10:00:00Z" * 100_000, "\ud800", "2026-03-01\x00"),
    ],
    ids=lambda value: repr(value)[:30] if not isinstance(value, int) else "a number",
)
def test_what_is_none(value):
    assert to_utc(value) is None


moments = st.datetimes(
    min_value=datetime(1974, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.sampled_from([UTC, INDIA])
)


@given(moments)
def test_every_way_to_write_a_moment_is_the_same_text(moment):
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    count = round(moment.timestamp() * 1000)
    written = {to_utc(value) for value in (moment, moment.isoformat(), count, str(count), count * 1_000_000)}
    assert written == {moment.astimezone(UTC).isoformat(timespec="milliseconds")}
    assert to_utc(written.pop()) == moment.astimezone(UTC).isoformat(timespec="milliseconds"), "read again it stays"


@given(moments, moments)
def test_texts_sort_as_the_moments_did(one, two):
    earlier, later = sorted((one, two))
    assert to_utc(earlier) <= to_utc(later)


@given(st.text() | st.floats() | st.integers() | st.binary() | st.lists(st.none()))
def test_nothing_crashes_it(value):
    found = to_utc(value)
    assert found is None or to_utc(found) == found
