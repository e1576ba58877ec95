"""How an event loop waits for a subscriber's sockets. Shell.

Theory of operation
-------------------
The sockets' file descriptors and the waker's are in one epoll object, whose own descriptor
the event loop watches.

The descriptors are edge triggered (`pubsub_common.net.sockets`): before a wait everything is to
be looked at, in the same step of the loop. They are registered with EPOLLET, hence one look
at the epoll object makes it quiet, whether or not somebody takes the events. So a task that
is slow to take them costs the loop nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import select

from pubsub_common.net.sockets import Waker
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.receiving.receiver import Receiver


class Watch:
    """What the event loop watches for a subscriber, and who waits for it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waker: Waker | None = None
        self._inlets: dict[int, Inlet] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """Have the running loop watch from here on. The receiver is connected."""
        self._waker = self._receiver.waker
        assert self._waker is not None, "connected"
        self._epoll = select.epoll()
        self._epoll.register(self._waker.fd, select.EPOLLIN | select.EPOLLET)
        self._follow()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._epoll.fileno(), self._look)
        self._loop = loop

    def end(self) -> None:
        """Watch no more. Who waits is woken."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._inlets = {}
            self.wake_all()

    async def wait(self, timeout_s: float) -> None:
        """Wait until something was to be seen, or for ``timeout_s`` seconds."""
        assert self._loop is not None, "it has begun"
        waiter = self._loop.create_future()
        self._waiting.add(waiter)
        timer = self._loop.call_later(timeout_s, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            timer.cancel()

    def wake_all(self) -> None:
        """Have everybody who waits look again."""
        for waiter in self._waiting:
            _wake(waiter)

    def _look(self) -> None:
        """Something is to be seen."""
        for fd, _ in self._epoll.poll(0):
            if self._waker is not None and fd == self._waker.fd:
                self._waker.clear()
                self._follow()
        self.wake_all()

    def _follow(self) -> None:
        """Watch the sockets that there are. The control thread opens them, and then
        wakes us."""
        inlets = {inlet.fd: inlet for inlet in self._receiver.sockets.open}
        for fd, inlet in self._inlets.items():
            if inlets.get(fd) is not inlet:
                # It may have been closed, and the number may be another's by now.
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        for fd, inlet in inlets.items():
            if self._inlets.get(fd) is not inlet:
                self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._inlets = inlets


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
