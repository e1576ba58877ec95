"""Times as ISO 8601."""

from __future__ import annotations

import datetime

from pubsub_common.text.iso_time import iso_time


def test_a_time_has_microseconds_and_its_zone() -> None:
    assert iso_time(1_500) == "1970-01-01T00:00:00.000001+00:00"


def test_the_time_can_be_read_back() -> None:
    now = datetime.datetime(2026, 11, 30, 10, 7, 14, 123456, datetime.UTC)
    ns = round(now.timestamp()) * 10**9 + 123_456_000
    assert datetime.datetime.fromisoformat(iso_time(ns)) == now


def test_times_of_any_publisher_are_texts() -> None:
    for ns in (-(2**63), 2**63 - 1):
        assert iso_time(ns).endswith("+00:00")
