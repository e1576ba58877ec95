"""A client's connection to one broker: its place, socket, handshakes, and clock offset."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import zmq

from pubsub_common.client.broker_place import BrokerPlace
from pubsub_common.client.clock_offset import ClockProbes
from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.client.handshake_diagnosis import HandshakeDiagnosis
from pubsub_common.earliest import earliest

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys


class BrokerLink:
    """For the control thread, except the constructor.

    ``connected``: there was a connection at the last `look`. ``was_connected``: there has
    been one.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        place: BrokerPlace,
        keys: ClientKeys | None,
        wake: Callable[[], None],
        *,
        one_clock: bool,
    ) -> None:
        """``wake`` is called when `follow` has work. ``one_clock``: the broker is on this
        machine, at any address."""
        self.place = place
        self.connected = self.was_connected = False
        self._one_clock = one_clock
        self.probes = ClockProbes(shared=one_clock or place.is_loopback)
        self.socket = ControlSocket(context, place.endpoint, keys)
        try:
            self._handshakes = HandshakeDiagnosis(self.socket, keys)
        except BaseException:
            self.socket.close()
            raise
        self.failed_handshakes = self._handshakes.check
        place.on_answer(wake)

    @property
    def name(self) -> str:
        """The name of the broker."""
        return self.place.name

    @property
    def where(self) -> str:
        """The broker's endpoint, for people."""
        return self.place.endpoint or self.name

    def register(self, poller: select.poll) -> None:
        """Add it to ``poller``."""
        for fd in (self.socket.fd, self._handshakes.fd):
            poller.register(fd, select.POLLIN)

    def connect(self) -> None:
        """Connect to the broker, as soon as its place is known."""
        self.socket.connect()
        self.follow()

    def follow(self) -> bool:
        """Whether the broker's name has another address now; then connect there."""
        if not self.place.look(time.monotonic()) or self.place.endpoint is None:
            return False
        self.socket.move(self.place.endpoint)
        self.probes = ClockProbes(shared=self._one_clock or self.place.is_loopback)
        return True

    def look(self) -> bool:
        """Whether there is a connection now."""
        self.connected = self.socket.connected()
        self.was_connected |= self.connected
        return self.connected

    def has_news(self) -> bool:
        """Whether there is work before a wait for the descriptors."""
        return self.socket.changed(self.connected)

    def due_s(self, now: float) -> float | None:
        """Seconds until there is work, even if nothing arrives."""
        due_s = self.place.due_s(now)
        for deadline in (
            self.probes.next_deadline(),
            self._handshakes.next_deadline(),
        ):
            due_s = earliest(due_s, None if deadline is None else deadline - now)
        return due_s

    def close(self, poller: select.poll | None = None) -> None:
        """Close the connection, and remove it from ``poller``."""
        if poller is not None:
            for fd in (self.socket.fd, self._handshakes.fd):
                poller.unregister(fd)
        self._handshakes.close()
        self.socket.close()
