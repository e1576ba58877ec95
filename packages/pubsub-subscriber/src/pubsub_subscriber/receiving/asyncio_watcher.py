"""Lets an event loop wait for the sockets of a subscriber.

Theory of operation
-------------------

The sockets' file descriptors and the waker's are in one epoll object, and the event loop
watches its descriptor.

The descriptors are edge triggered (`pubsub_common.net.sockets`): before a wait everything is
checked, in the same step of the loop. They are registered with EPOLLET, so one read of the
epoll object makes it quiet, also if no task takes the events. So a task that takes them
slowly costs the loop nothing.

An exception of a signal handler may end a step of the loop anywhere. So tasks are woken
before the epoll object is made quiet, and each wait checks that all present sockets are
watched.
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
        """Start to watch in the running loop. The receiver is open."""
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
        """Stop watching, and wake the waiting tasks. In a forked child the loop and the epoll
        object belong to the parent and are not touched."""
        loop, self._loop = self._loop, None
        if loop is not None and self._process == os.getpid():
            loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._watched = {}
            self.wake_all()

    async def wait(self, timeout_s: float) -> None:
        """Wait for input, or for ``timeout_s`` seconds. This step of the loop has checked
        everything that has arrived."""
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
        """Make all waiting tasks check again."""
        for waiter in self._waiting:
            _wake(waiter)

    def _on_readable(self) -> None:
        """There is input."""
        self.wake_all()
        self._epoll.poll(0)
        if self._waker is not None:
            self._waker.clear()

    def _watch_sockets(self) -> None:
        """Watch the present sockets. The control thread opens them, and then wakes us."""
        sub_sockets = self._receiver.sockets.open
        there = {sub_socket.fd: sub_socket for sub_socket in sub_sockets}
        for fd, sub_socket in self._watched.items():
            if there.get(fd) is not sub_socket:
                # It may have been closed, and the number may belong to another file now.
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        for fd, sub_socket in there.items():
            if self._watched.get(fd) is not sub_socket:
                # After an exception in here it is registered already.
                with contextlib.suppress(FileExistsError):
                    self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._watched, self._watched_open = there, sub_sockets


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
