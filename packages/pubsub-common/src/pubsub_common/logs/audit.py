"""What is said about strangers: one line each, and not too often. Core."""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.defaults import LOG_INTERVAL_S

# Addresses that are told apart; of the rest one line tells.
_MAX_ADDRESSES: Final = 1000
_OTHERS: Final = "other addresses"


@dataclasses.dataclass(slots=True)
class _Heard:
    next_at: float
    held_back: int = 0


class Audit:
    """Decides which of many lines about an address is written."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], _Heard] = {}

    def note(self, address: str, kind: str, what: str, now: float) -> str | None:
        """Something happened that concerns ``address``; the line to write, if any: of
        each kind there is one in `LOG_INTERVAL_S`. ``now`` is seconds of any one clock."""
        key = (address, kind)
        if len(self._heard) >= _MAX_ADDRESSES and key not in self._heard:
            self._forget(now)
            if len(self._heard) >= _MAX_ADDRESSES:
                key, what = (_OTHERS, ""), f"{what} ({_OTHERS} too)"
        heard = self._heard.get(key)
        if heard is not None and now < heard.next_at:
            heard.held_back += 1
            return None
        again = (
            ""
            if heard is None or not heard.held_back
            else (f" (and {heard.held_back} more times since the last such line)")
        )
        self._heard[key] = _Heard(now + LOG_INTERVAL_S)
        return f"{address}: {what}{again}"

    def _forget(self, now: float) -> None:
        """Those of whom nothing was heard since."""
        self._heard = {
            key: heard for key, heard in self._heard.items() if now < heard.next_at
        }
