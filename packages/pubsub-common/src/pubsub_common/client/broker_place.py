"""Where a client's broker is: of a name the address may change while the client lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pubsub_common.net.name_lookups import resolve_within
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.net.sockets import endpoint
from pubsub_common.protocol.endpoints import host_of, join
from pubsub_common.security.lost_connections import CONNECTED


class BrokerPlace:
    """`host` and `endpoint` are for any thread, the rest for the control thread."""

    def __init__(self, host: str, port: int, address: str) -> None:
        """The broker is ``host:port``, and ``host`` has been looked up: ``address``."""
        self._name: Final = join(host, port)
        self._place = join(address, port)
        # Our own address, by which others know us, is of the same family.
        self._named = NamedEndpoints(CONNECTED, one_family=True)
        self._begun = False

    @property
    def host(self) -> str:
        """The IP address of the broker, as far as is known."""
        return host_of(self._place)

    @property
    def endpoint(self) -> str:
        """``tcp://host:port``, with that address."""
        return endpoint(self.host, self._place.rpartition(":")[2])

    def on_answer(self, wake: Callable[[], None]) -> None:
        """From now on ``wake`` is called when there is something for `look`."""
        self._named.lookups.answered = wake

    def look(self, now: float) -> bool:
        """Whether the broker is at another `endpoint` since the last call."""
        if not self._begun:
            self._begun = True
            self._named.begin(self._name, now, self._place)
        moved = self._named.look(now)
        if moved:
            self._place = self._named.place(self._name) or self._place
        return bool(moved)

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `look`; None: never."""
        return self._named.due_s(now)


def find_broker(
    host: str, port: int, timeout_s: float, *, stopped: Callable[[], bool]
) -> BrokerPlace:
    """The place of the broker ``host:port``; waits for its name as `resolve_within` does.

    Raises:
        PubSubError: its name is not known.
    """
    address = resolve_within(host, timeout_s, stopped=stopped)
    return BrokerPlace(host, port, address)
