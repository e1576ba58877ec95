"""The open sockets of a subscriber, and those that are to be closed.

The control thread opens and retires sockets while the receiving thread iterates over them.
The lock guards changes. `open` and `retired` are tuples that a change replaces, so reading
them takes no lock, and another `open` is another object. A signal handler never needs the
lock.
"""

from __future__ import annotations

import threading
from typing import Protocol, TypeAlias

from pubsub_subscriber.connections.sub_socket import SubSocket

# For a publisher its session, for a broker ``host:port``.
SocketKey: TypeAlias = int | str


class ReceivingThread(Protocol):
    """Receives from the sockets. For any thread."""

    def wake(self) -> None:
        """Check everything again."""


class SocketSet:
    """Sockets by key. ``receiving`` receives from them, if it is set."""

    def __init__(self) -> None:
        self.receiving: ReceivingThread | None = None
        self.open: tuple[SubSocket, ...] = ()
        # Disconnected from their publishers. The receiving thread takes the remaining messages
        # and closes them.
        self.retired: tuple[SubSocket, ...] = ()
        self._by_key: dict[SocketKey, SubSocket] = {}
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Make the receiving thread check everything again."""
        if self.receiving is not None:
            self.receiving.wake()

    def get(self, key: SocketKey) -> SubSocket | None:
        """The open socket of this key."""
        return self._by_key.get(key)

    def open_keys(self) -> frozenset[SocketKey]:
        """The keys of the open sockets."""
        with self._lock:
            return frozenset(self._by_key)

    def add(self, key: SocketKey, socket: SubSocket) -> None:
        """Receive from this socket too."""
        with self._lock:
            self._by_key[key] = socket
            self.open = tuple(self._by_key.values())
        self.wake()

    def retire(self, key: SocketKey) -> None:
        """Deliver the remaining messages of the socket of this key, then close it."""
        with self._lock:
            socket = self._by_key.pop(key, None)
            self.open = tuple(self._by_key.values())
            if socket is not None:
                self.retired = (*self.retired, socket)
        self.wake()

    def forget(self, socket: SubSocket) -> None:
        """Remove a retired socket that was closed."""
        with self._lock:
            self.retired = tuple(each for each in self.retired if each is not socket)

    def close_all(self) -> None:
        """Close all sockets at once. Their messages are lost."""
        with self._lock:
            sockets = (*self.open, *self.retired)
        for socket in sockets:
            socket.close(0)
