"""Lets an event loop wait for the sockets of a subscriber.

Theory of operation
-------------------
The sockets' file descriptors and the waker's are in one epoll object, whose own descriptor
the event loop watches.

The descriptors are edge triggered (`pubsub_common.net.sockets`): before a wait everything is to
be looked at, in the same step of the loop. They are registered with EPOLLET, hence one look
at the epoll object makes it quiet, whether or not somebody takes the events. So a task that
is slow to take them costs the loop nothing.

An exception of a signal handler may end a step of the loop anywhere. So tasks are woken before
the epoll object is made quiet, and each wait sees to it that the sockets there are are watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select

from pubsub_common.net.waker import Waker
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.receiver import Receiver


class AsyncioWatcher:
    """Watches sockets in an event loop, and wakes the tasks that wait for them."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waker: Waker | None = None
        self._watched: dict[int, SubSocket] = {}
        self._watched_open: tuple[SubSocket, ...] | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Have the running loop watch from here on. The receiver is open."""
        self._waker = self._receiver.waker
        assert self._waker is not None, "open"
        self._process = os.getpid()
        self._epoll = select.epoll()
        self._epoll.register(self._waker.fd, select.EPOLLIN | select.EPOLLET)
        self._watch_sockets()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._epoll.fileno(), self._on_readable)
        self._loop = loop

    def stop(self) -> None:
        """Watch no more. Who waits is woken. In a forked child the loop and the epoll object
        are the parent's, and stay as they are."""
        loop, self._loop = self._loop, None
        if loop is not None and self._process == os.getpid():
            loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._watched = {}
            self.wake_all()

    async def wait(self, timeout_s: float) -> None:
        """Wait until something was to be seen, or for ``timeout_s`` seconds. Everything
        that has arrived was looked at in this step of the loop."""
        assert self._loop is not None, "it has begun"
        if self._watched_open is not self._receiver.sockets.open:
            self._watch_sockets()
            return  # a frame may have come before its descriptor was watched
        waiter = self._loop.create_future()
        self._waiting.add(waiter)
        timer = self._loop.call_later(timeout_s, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            timer.cancel()

    def wake_all(self) -> None:
        """Have all tasks that wait look again."""
        for waiter in self._waiting:
            _wake(waiter)

    def _on_readable(self) -> None:
        """Something is to be seen."""
        self.wake_all()
        self._epoll.poll(0)
        if self._waker is not None:
            self._waker.clear()

    def _watch_sockets(self) -> None:
        """Watch the sockets that there are. The control thread opens them, and then
        wakes us."""
        sub_sockets = self._receiver.sockets.open
        there = {sub_socket.fd: sub_socket for sub_socket in sub_sockets}
        for fd, sub_socket in self._watched.items():
            if there.get(fd) is not sub_socket:
                # It may have been closed, and the number may be another's by now.
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        for fd, sub_socket in there.items():
            if self._watched.get(fd) is not sub_socket:
                # It is registered already after an exception in here.
                with contextlib.suppress(FileExistsError):
                    self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._watched, self._watched_open = there, sub_sockets


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
