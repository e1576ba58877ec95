"""Lets an event loop wait for the sockets of a subscriber.

Theory of operation
-------------------

The sockets' file descriptors and the waker's are in one epoll object, and the event loop
watches its descriptor.

The descriptors are edge triggered (`pubsub_common.net.sockets`): before a wait everything is
checked, or the last check found nothing and no descriptor has signalled since
(`Receiver.drained`). While a task waits, the step of the loop that hears of input also takes it
from the sockets, unless whole batches are wanted. The descriptors are registered with EPOLLET,
so one read of the epoll object makes it quiet, also if no task takes the events. So a task that
takes them slowly costs the loop nothing.

An exception of a signal handler may end a step of the loop anywhere. So tasks are woken
before the epoll object is made quiet, and each wait checks that all present sockets are
watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections.abc import Awaitable
from typing import Final

from pubsub_common.net.waker import Waker
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.receiver import Receiver

_MAX_WAIT_S: Final = 3600.0


class AsyncioWatcher:
    """Watches sockets in an event loop, and wakes the tasks that wait for them."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waker: Waker | None = None
        self._watched: dict[int, SubSocket] = {}
        self._watched_open: tuple[SubSocket, ...] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        # Whole batches are wanted, so only their reader may take them from the sockets.
        self.batches = False
        # The next timer, for all waiting tasks, and when it wakes them.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def start(self) -> bool:
        """Start to watch in the running loop. False if the receiver is closed."""
        self._waker = self._receiver.waker
        if self._waker is None:
            return False
        self._process = os.getpid()
        self._epoll = select.epoll()
        self._epoll.register(self._waker.fd, select.EPOLLIN | select.EPOLLET)
        self._watch_sockets()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._epoll.fileno(), self._on_readable)
        self._loop = loop
        return True

    def stop(self) -> None:
        """Stop watching, and wake the waiting tasks. In a forked child the loop and the epoll
        object belong to the parent and are not touched."""
        loop, self._loop = self._loop, None
        if loop is not None and self._process == os.getpid():
            loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._watched = {}
            self.wake_all()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def wait(self, deadline: float | None) -> Awaitable[object]:
        """Wait for input, or for the deadline; may end sooner. Everything that has arrived
        was checked (`Receiver.drained`)."""
        loop = self._loop
        assert loop is not None, "it has begun"
        if self._watched_open is not self._receiver.sockets.open:
            self._watch_sockets()
            self._receiver.check_again()
            return asyncio.sleep(0)  # a frame may have come before it was watched
        if deadline is not None and (self._timer is None or deadline < self._timer_at):
            self._start_timer(loop, deadline)
        waiter = loop.create_future()
        self._waiting.append(waiter)
        return waiter

    def wake_all(self) -> None:
        """Make all waiting tasks check again."""
        waiting = self._waiting
        while waiting:
            if not waiting[-1].done():  # its task may have been cancelled
                waiting[-1].set_result(None)
            del waiting[-1]

    def _start_timer(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """One timer serves many waits: most end before it, and a new one costs more than a
        wake-up for nothing."""
        if self._timer is not None:
            self._timer.cancel()
        left_s = min(max(0.0, deadline - time.monotonic()), _MAX_WAIT_S)
        self._timer_at = deadline
        self._timer = loop.call_later(left_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._receiver.check_again()
        self.wake_all()

    def _on_readable(self) -> None:
        """There is input."""
        receiver, watched = self._receiver, self._watched
        taken = bool(self._waiting) and not self.batches and receiver.drained
        receiver.check_again()
        self.wake_all()
        for fd, _ in self._epoll.poll(0):
            sub_socket = watched.get(fd)
            if sub_socket is not None:
                taken = taken and receiver.take_arrived(sub_socket)
            elif self._waker is not None:
                self._waker.clear()
                taken = False  # everything must be checked
        if taken:
            receiver.all_taken()

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
