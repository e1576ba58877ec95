"""Forwarding by libzmq's proxy: a loop in C, which drops events for slow subscribers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import zmq

from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_common.errors import PubSubError

# How long the proxy may take to answer: it does between two bursts of at most 1000
# messages.
ANSWER_S: Final = 10.0
# How long to wait for its counts. A busy proxy reports them later: libzmq may take a
# while to process a client's subscriptions, and the control port must not wait for
# that.
COUNTS_S: Final = 0.02

STATISTICS: Final = b"STATISTICS"
TERMINATE: Final = b"TERMINATE"


class Counted(NamedTuple):
    """The messages and bytes received on XSUB."""

    messages: int
    size: int

    def plus(self, statistics: list[bytes]) -> Counted:
        """Add the messages and bytes that the proxy has received since it was entered:
        the first two of eight counters (messages and bytes, in and out, front and back
        end)."""
        messages, size = (
            int.from_bytes(each, sys.byteorder) for each in statistics[:2]
        )
        return Counted(self.messages + messages, self.size + size)

    def largest(self) -> int:
        """A guess at the size of the largest messages: four times the mean."""
        return 4 * self.size // max(1, self.messages)


class ZmqProxyForwarder:
    """A `PlainSockets` served by ``zmq_proxy_steerable`` in its own thread.

    To change connections, the proxy gets the command TERMINATE; the thread applies the queued
    changes and enters it again. The sockets keep their queues, so nothing is lost. As
    for every `Forwarder`, the methods belong to one controlling thread. The forwarder's
    own thread calls ``on_failure`` when it ends with an error.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        sockets: PlainSockets,
        name: str,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.error: BaseException | None = None
        self._on_failure = on_failure
        self._sockets = sockets
        self._changes: list[tuple[bool, str]] = []
        self._stopping = False
        # Until the proxy was entered, and in its last report.
        self._counted = self._told = Counted(0, 0)
        # The proxy was asked for its counts and has not answered yet.
        self._asked = False
        self._control, self._proxy_end = control_sockets(context, name)
        self._idle = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def apply(self, changes: list[tuple[bool, str]]) -> None:
        """`PlainSockets.apply` in the forwarder's thread, which leaves the proxy,
        applies the changes and enters the proxy again. Also asks the proxy for its
        counts. (Up to libzmq 4.3.5, PAUSE does not stop a busy proxy.)"""
        self._changes = changes
        self._idle.clear()
        self._send(STATISTICS)
        self._send(TERMINATE)

    def wait_applied(self, until: float) -> None:
        """The thread owns the sockets until it has left the proxy; between proxies we
        do. So callers of `detach_due` wait for this first."""
        if self._asked:
            self._receive(until)
            self._asked = False
        self._counted = self._told = self._counted.plus(self._receive(until))
        self._receive(until)
        if not self._idle.wait(max(0.0, until - time.monotonic())):
            raise PubSubError("the forwarder's thread does not answer")
        self._check()

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """There are no keys in this mode."""

    def forwarded(self) -> int:
        """Messages received from publishers since the start, except for the few that
        pass while `apply` ends the proxy: the proxy forgets its counts then. A busy
        proxy counts as in its last report."""
        return self._statistics().messages

    def large_bytes(self) -> tuple[int, int]:
        """The bytes of all messages, and four times their mean: the proxy reports
        nothing more exact."""
        counted = self._statistics()
        return counted.size, counted.largest()

    def look(self, now: float) -> None:
        """It drops, so it never waits for anyone."""

    def detach_due(self) -> float | None:
        # Its thread uses this only in `apply`, and the caller waits meanwhile.
        return self._sockets.detach_due()

    @property
    def held_since(self) -> float | None:
        return None  # it drops instead

    def begin_close(self, until: float) -> None:
        """Closing is fast here."""

    def close(self, until: float) -> None:
        """End the thread and close everything."""
        self._stopping = True
        try:
            if self.error is None:
                self.apply([])
                self.wait_applied(time.monotonic() + ANSWER_S)
        finally:
            # A thread that does not answer is abandoned, with its sockets.
            if self.error is not None or self._idle.is_set():
                self.thread.join()
                self._sockets.close(max(0.0, until - time.monotonic()))
                self._control.close(linger=0)
                self._proxy_end.close(linger=0)

    def _run(self) -> None:
        try:
            while not self._stopping:
                zmq.proxy_steerable(
                    self._sockets.xsub, self._sockets.xpub, None, self._proxy_end
                )
                changes, self._changes = self._changes, []
                self._sockets.apply(changes)
                self._idle.set()
        except Exception as error:
            self.error = error
            self._idle.set()  # so that the waiting thread sees the error
            self._on_failure()

    def _statistics(self) -> Counted:
        until = time.monotonic() + COUNTS_S
        while True:
            of_now = not self._asked
            if of_now:
                self._send(STATISTICS)
                self._asked = True
            self._check()
            if not self._control.poll(ms_until(until)):
                return self._told
            self._told = self._counted.plus(self._control.recv_multipart()[1:])
            self._asked = False
            if of_now:
                return self._told

    def _check(self) -> None:
        if self.error is not None:
            raise PubSubError(f"forwarding has failed: {self.error!r}") from self.error

    def _send(self, command: bytes) -> None:
        self._check()
        send_command(self._control, command)

    def _receive(self, until: float) -> list[bytes]:
        if not self._control.poll(ms_until(until)):
            raise PubSubError("the forwarder's proxy does not answer")
        return self._control.recv_multipart()[1:]


def control_sockets(
    context: zmq.Context[zmq.Socket[bytes]], name: str
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """A socket for commands to a proxy, and the proxy's end.

    That is a REP, which answers every command. With a PAIR this depends on the version
    of libzmq, and a surplus answer would be taken for the answer to the next command.
    """
    control, proxy_end = context.socket(zmq.DEALER), context.socket(zmq.REP)
    for socket in (control, proxy_end):
        socket.linger = 0
    control.bind(f"inproc://{name}")
    proxy_end.connect(f"inproc://{name}")
    return control, proxy_end


def send_command(control: zmq.Socket[bytes], command: bytes) -> None:
    """Send a command to a proxy."""
    control.send_multipart([b"", command])


def ms_until(until: float) -> int:
    """Milliseconds until ``until`` (monotonic seconds), at least 0."""
    return round(max(0.0, until - time.monotonic()) * 1000)
