"""Forwarding events from publishers to subscribers, centralized model. Shell.

`ForwardSockets` is the pair of sockets; `ProxyForwarder` runs libzmq's proxy, a
loop in C, over a pair in a thread of its own.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from typing import Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.sockets import endpoint, has_input

# Events of a publisher that has left may still be on their way through the network
# and our queue; disconnecting at once would drop them.
DETACH_GRACE_S: Final = 6.0

# The proxy answers between two bursts of at most 1000 messages.
_ANSWER_S: Final = 10.0

_STATISTICS: Final = b"STATISTICS"
_TERMINATE: Final = b"TERMINATE"


def forwarder_of(topic: str, count: int) -> int:
    """Which of ``count`` forwarders has a topic."""
    return zlib.crc32(topic.encode()) % count


class ForwardSockets:
    """XSUB towards publishers, XPUB towards subscribers.

    One thread at a time uses it. Attaching what is attached, and detaching what is
    not, does nothing.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], queue_limit: int
    ) -> None:
        self.xsub = context.socket(zmq.XSUB)
        self.xpub = context.socket(zmq.XPUB)
        for socket in (self.xsub, self.xpub):
            socket.set_hwm(queue_limit)
        # What goes to publishers are subscriptions. Those over a limit libzmq would
        # drop without a word; how many there are is bounded by topics and clients.
        self.xsub.sndhwm = 0
        self._attached: set[str] = set()
        self._detach_at: dict[str, float] = {}

    def bind(self, host: str, port: int) -> None:
        """Offer events to subscribers at ``host:port``.

        Raises:
            zmq.ZMQError: the port is taken or the host is not ours.
        """
        self.xpub.bind(endpoint(host, port))

    def attach(self, address: str) -> None:
        """Receive what the publisher at ``IP:port`` sends."""
        self._detach_at.pop(address, None)
        if address not in self._attached:
            self._attached.add(address)
            self.xsub.connect(f"tcp://{address}")

    def detach(self, address: str) -> None:
        """Stop receiving from this publisher after a grace time."""
        if address in self._attached:
            self._detach_at[address] = time.monotonic() + DETACH_GRACE_S

    def apply(self, changes: Iterable[tuple[bool, str]]) -> None:
        """Attach (True) or detach (False) publishers, in this order, and finish
        detachments that are due."""
        for attach, address in changes:
            if attach:
                self.attach(address)
            else:
                self.detach(address)
        self._detach_finished()

    def detach_due(self) -> float | None:
        """When `apply` is needed for the sake of earlier detachments."""
        return min(self._detach_at.values(), default=None)

    def forward_subscriptions(self) -> None:
        """Pass waiting subscriptions on to the publishers."""
        with contextlib.suppress(zmq.Again):
            while True:
                self.xsub.send(self.xpub.recv(zmq.NOBLOCK))

    def close(self, linger_s: float) -> None:
        """Close both; events already accepted have ``linger_s`` to reach subscribers."""
        self.xsub.close(linger=0)
        self.xpub.close(linger=round(linger_s * 1000))

    def _detach_finished(self) -> None:
        """Disconnect from publishers whose grace time is over, if nothing waits to
        be forwarded; else let them wait once more."""
        now = time.monotonic()
        due = [address for address, at in self._detach_at.items() if at <= now]
        busy = bool(due) and has_input(self.xsub)
        for address in due:
            if busy:
                self._detach_at[address] = now + 1.0
                continue
            del self._detach_at[address]
            self._attached.discard(address)
            self.xsub.disconnect(f"tcp://{address}")


class ProxyForwarder:
    """A `ForwardSockets` served by ``zmq_proxy_steerable`` in its own thread.

    To change connections, the proxy is told to TERMINATE, the thread applies what
    is queued and enters it again; the sockets keep their queues, so nothing is lost.
    All methods belong to one controlling thread.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        sockets: ForwardSockets,
        name: str,
    ) -> None:
        self._sockets = sockets
        self._changes: list[tuple[bool, str]] = []
        self._stopping = False
        self._counted = 0
        # A REP socket answers every command. With a PAIR it depends on the version of
        # libzmq, and an answer too many would be taken for that of the next command.
        self._control = context.socket(zmq.DEALER)
        self._proxy_end = context.socket(zmq.REP)
        for socket in (self._control, self._proxy_end):
            socket.linger = 0
        self._control.rcvtimeo = round(_ANSWER_S * 1000)
        self._control.bind(f"inproc://{name}")
        self._proxy_end.connect(f"inproc://{name}")
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def apply(self, changes: list[tuple[bool, str]]) -> None:
        """`ForwardSockets.apply` in the forwarder's thread."""
        self._changes = changes
        self._interrupt()

    def forwarded(self) -> int:
        """Messages received from publishers since the start, but for the few that
        pass while `apply` has the proxy end: the proxy forgets its counts then."""
        return self._counted + self._statistics()

    def close(self, linger_s: float) -> None:
        """End the thread and close everything."""
        self._stopping = True
        self._interrupt()
        self._thread.join()
        self._sockets.close(linger_s)
        self._control.close(linger=0)
        self._proxy_end.close(linger=0)

    def _run(self) -> None:
        while not self._stopping:
            zmq.proxy_steerable(
                self._sockets.xsub, self._sockets.xpub, None, self._proxy_end
            )
            changes, self._changes = self._changes, []
            self._sockets.apply(changes)
            self._idle.set()

    def _interrupt(self) -> None:
        """Have the thread leave the proxy, apply changes and enter it again; returns
        when the changes are applied. The proxy is asked for its counts in the same
        breath. (As of libzmq 4.3.5, PAUSE would not stop one that is busy.)"""
        self._idle.clear()
        self._send(_STATISTICS)
        self._send(_TERMINATE)
        self._counted += self._received_count(self._receive())
        self._receive()
        if not self._idle.wait(_ANSWER_S):
            raise PubSubError("the forwarder's thread does not answer")

    def _statistics(self) -> int:
        self._send(_STATISTICS)
        return self._received_count(self._receive())

    @staticmethod
    def _received_count(statistics: list[bytes]) -> int:
        """Messages that the proxy received on XSUB since it was entered: the first
        of eight counters (messages and bytes, in and out, front and back end)."""
        return int.from_bytes(statistics[0], sys.byteorder)

    def _send(self, command: bytes) -> None:
        self._control.send_multipart([b"", command])

    def _receive(self) -> list[bytes]:
        try:
            return self._control.recv_multipart()[1:]
        except zmq.Again:
            raise PubSubError("the forwarder's proxy does not answer") from None
