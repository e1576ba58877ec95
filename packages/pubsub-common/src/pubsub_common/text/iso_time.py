"""Times as ISO 8601."""

from __future__ import annotations

import datetime
from typing import Final

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def iso_time(ns: int) -> str:
    """``ns`` nanoseconds of the realtime clock as UTC, like
    ``2026-11-30T10:07:14.123456+00:00``."""
    time = _EPOCH + datetime.timedelta(microseconds=ns // 1000)
    return time.isoformat(timespec="microseconds")
