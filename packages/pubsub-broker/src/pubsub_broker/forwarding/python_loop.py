"""Forwarding by a loop in Python, which can wait for slow subscribers.

Theory of operation
-------------------
libzmq's proxy cannot wait: with XPUB_NODROP its send blocks inside C, where it
processes neither commands nor the stop. It cannot check subscriptions either, as a
secure broker must. So this loop is in Python. It reads from publishers in bursts. A
message that finds a queue full is held, and nothing is read until it has been sent.
Then libzmq's inbound queues fill up, then TCP's, and then the publishers notice. The
loop serves subscriptions, connections and the stop all the time.

While traffic is calm, libzmq's proxy forwards after all, faster (`calm_proxy`).

Otherwise it waits on file descriptors. Those of ZeroMQ sockets are edge triggered, and any
operation on a socket may consume the notification (see `pubsub_common.net.sockets`), so
it waits only after a turn in which no socket had a message. While a message is held
this is not certain, and no wait is longer than `RETRY_S`.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import zmq

from pubsub_broker.forwarding.calm_proxy import CalmProxy
from pubsub_broker.forwarding.event_output import RETRY_S
from pubsub_broker.forwarding.sockets import ForwarderSockets
from pubsub_common.net.waker import Waker

# Messages forwarded before other work gets its turn.
_BURST: Final = 256
# How long the thread may take to end after its time, before connections are closed.
_END_S: Final = 0.5


class PythonForwarder:
    """A `Forwarder` over sockets that are ``blocking``, or that check subscriptions."""

    def __init__(
        self,
        sockets: ForwarderSockets,
        name: str,
        on_failure: Callable[[], None] = lambda: None,
        proxy: CalmProxy | None = None,
    ) -> None:
        self._proxy = proxy
        self.error: BaseException | None = None
        self._sockets = sockets
        self._on_failure = on_failure
        self._waker = Waker()
        self._changes: deque[tuple[bool, str]] = deque()
        self._unwanted: deque[str] = deque()  # keys of subscribers
        self._inputs: Sequence[zmq.Socket[bytes]] | None = None  # watched
        self._until: float | None = None
        self._counted = 0
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def apply(self, changes: list[tuple[bool, str]]) -> None:
        self._changes.extend(changes)
        self._wake()

    def wait_applied(self, until: float) -> None:
        """The thread connects by itself."""

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        self._unwanted.extend(keys)
        self._wake()

    def look(self, now: float) -> None:
        if self._proxy is not None and self._proxy.look(
            self._counted, now, self.thread
        ):
            self._waker.wake()

    def forwarded(self) -> int:
        proxy = self._proxy
        return self._counted + (0 if proxy is None else proxy.counted().messages)

    def large_bytes(self) -> tuple[int, int]:
        large, largest = self._sockets.large_bytes()
        if self._proxy is None:
            return large, largest
        told = self._proxy.told()
        return large + told.size, max(largest, told.largest())

    def detach_due(self) -> float | None:
        return None  # its thread handles detachments itself

    @property
    def held_since(self) -> float | None:
        since = self._sockets.held_since
        if since is None and self._proxy is not None:
            return self._proxy.blocked_since()
        return since

    def begin_close(self, until: float) -> None:
        if self._until is None:
            self._until = until
            self._wake()

    def close(self, until: float) -> None:
        self.begin_close(until)
        if self._proxy is not None:
            self.thread.join(max(0.0, until - time.monotonic()) + _END_S)
            while self.thread.is_alive():
                self._proxy.unblock()
                self.thread.join(_END_S)
            self._proxy.close()
        self.thread.join()
        self._sockets.close(max(0.0, until - time.monotonic()))
        self._waker.close()

    def _wake(self) -> None:
        """Make the thread read the requests that were noted before this call."""
        self._waker.wake()
        if self._proxy is not None:
            self._proxy.leave()

    # In the thread

    def _run(self) -> None:
        sockets = self._sockets
        self._held_poller = self._poller(sockets.xpub)
        try:
            while self._until is None:
                self._turn()
            sockets.output.flush(self._until)
        except Exception as error:
            self.error = error
            self._on_failure()

    def _poller(self, *sockets: zmq.Socket[bytes]) -> select.poll:
        poller = select.poll()
        poller.register(self._waker.fd, select.POLLIN)
        for socket in sockets:
            poller.register(socket.FD, select.POLLIN)
        return poller

    def _turn(self) -> None:
        sockets = self._sockets
        self._apply_changes()
        output = sockets.output
        moved = output.has_subscription() and sockets.forward_subscriptions()
        if output.held is not None:
            # This may send the current subscriptions to a publisher that came back.
            sockets.has_input()
            if not sockets.retry():
                self._wait(self._held_poller, RETRY_S * 1000)
                return
        moved = self._forward_burst() or moved
        if not moved and output.held is None:
            if self._proxy is not None and self._proxy.forward(self._is_free):
                return
            self._watch(sockets.inputs())
            self._wait(self._idle_poller, self._timeout_ms())
            # First of all: an event does not wait for the rest of a turn.
            self._forward_burst()

    def _is_free(self) -> bool:
        """Whether only messages and subscriptions can need this thread."""
        return not (
            self._changes
            or self._unwanted
            or self._until is not None
            or self._sockets.detach_due() is not None
        )

    def _wait(self, poller: select.poll, timeout_ms: float | None) -> None:
        for fd, _ in poller.poll(timeout_ms):
            if fd == self._waker.fd:
                self._waker.clear()

    def _watch(self, inputs: Sequence[zmq.Socket[bytes]]) -> None:
        """Prepare to wait for these sockets and those of subscribers."""
        if inputs != self._inputs:
            self._inputs = inputs
            self._idle_poller = self._poller(*inputs, self._sockets.xpub)

    def _forward_burst(self) -> bool:
        """Forward a burst of messages; returns whether there were any."""
        take, offer = self._sockets.receive, self._sockets.output.offer
        count = 0
        while count < _BURST:
            message = take()
            if message is None:
                break
            count += 1
            if not offer(message):
                break
        self._counted += count
        return count > 0

    def _apply_changes(self) -> None:
        if self._unwanted:
            keys = [self._unwanted.popleft() for _ in range(len(self._unwanted))]
            self._sockets.disconnect_subscribers(keys)
        due = self._sockets.detach_due()
        if not self._changes and (due is None or due > time.monotonic()):
            return
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        self._sockets.apply(changes)

    def _timeout_ms(self) -> float | None:
        due = self._sockets.detach_due()
        if due is None:
            return None
        return max(0.0, due - time.monotonic()) * 1000 + 0.5
