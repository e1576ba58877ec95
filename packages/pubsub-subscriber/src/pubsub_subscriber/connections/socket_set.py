"""The open sockets of a subscriber, and those that are about to be closed.

The control thread opens and retires sockets while the receiving thread goes through them.
The lock guards changes; `open` and `retired` are tuples that a change replaces, so reading them
takes no lock, and another `open` is another object. A signal handler never needs the lock.
"""

from __future__ import annotations

import threading
from typing import Protocol

from pubsub_subscriber.connections.sub_socket import SubSocket


class ReceivingThread(Protocol):
    """What receives from the sockets. For any thread."""

    def wake(self) -> None:
        """Look at everything again."""


class SocketSet:
    """Sockets by number. ``receiving`` receives from them, if anything does."""

    def __init__(self) -> None:
        self.receiving: ReceivingThread | None = None
        self.open: tuple[SubSocket, ...] = ()
        # Disconnected from their publishers. The receiving thread takes out what they still
        # hold, and closes them.
        self.retired: tuple[SubSocket, ...] = ()
        self._by_number: dict[int, SubSocket] = {}
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Have the receiving thread look at everything again."""
        if self.receiving is not None:
            self.receiving.wake()

    def get(self, number: int) -> SubSocket | None:
        """The open socket of this number."""
        return self._by_number.get(number)

    def numbers(self) -> frozenset[int]:
        """The numbers of the open sockets."""
        with self._lock:
            return frozenset(self._by_number)

    def add(self, number: int, socket: SubSocket) -> None:
        """Receive from this socket too."""
        with self._lock:
            self._by_number[number] = socket
            self.open = tuple(self._by_number.values())
        self.wake()

    def retire(self, number: int) -> None:
        """Deliver what the socket of this number still holds, then close it."""
        with self._lock:
            socket = self._by_number.pop(number, None)
            self.open = tuple(self._by_number.values())
            if socket is not None:
                self.retired = (*self.retired, socket)
        self.wake()

    def forget(self, socket: SubSocket) -> None:
        """A retired socket was closed."""
        with self._lock:
            self.retired = tuple(each for each in self.retired if each is not socket)

    def close_all(self) -> None:
        """Close all sockets at once. What they hold is lost."""
        with self._lock:
            sockets = (*self.open, *self.retired)
        for socket in sockets:
            socket.close(0)
