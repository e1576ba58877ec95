"""The publishers that forwarders may receive from, for several threads.

The broker's loop writes; forwarders' threads look up. One lock guards both.
"""

from __future__ import annotations

import threading

from pubsub_broker.control.effects import Attach, Detach
from pubsub_broker.forwarding.draining import MAX_DRAIN_S


class PublisherBook:
    """Registered publishers by address, and those that left recently. ``now`` is
    monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._publishers: dict[str, Attach] = {}
        self._left_at: dict[str, float] = {}

    def note(self, change: Attach | Detach, now: float) -> None:
        """A publisher joins or leaves. After leaving it is found until its last events
        have arrived, unless it must be disconnected immediately."""
        with self._lock:
            self._left_at.pop(change.address, None)
            if isinstance(change, Attach):
                self._publishers[change.address] = change
            elif change.at_once:
                self._publishers.pop(change.address, None)
            else:
                self._left_at[change.address] = now

    def get(self, address: str) -> Attach | None:
        """The publisher at this address. For any thread."""
        with self._lock:
            return self._publishers.get(address)

    def addresses(self) -> list[str]:
        """The addresses of the registered publishers."""
        with self._lock:
            return [each for each in self._publishers if each not in self._left_at]

    def forget_departed(self, now: float) -> None:
        """Forget publishers that left long ago."""
        with self._lock:
            for address, left_at in list(self._left_at.items()):
                if now - left_at < MAX_DRAIN_S:
                    break
                del self._left_at[address]
                self._publishers.pop(address, None)
