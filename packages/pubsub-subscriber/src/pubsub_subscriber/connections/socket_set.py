"""The open sockets of a subscriber, and those that are about to be closed.

The control thread opens and retires sockets while the receiving thread goes through them.
The lock guards changes; `open` is a tuple that a change replaces, so reading it takes no lock.
A signal handler never needs the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pubsub_subscriber.connections.sub_socket import SubSocket


class SocketSet:
    """Sockets by number. `changed` has the receiving thread look at all of them again."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.open: tuple[SubSocket, ...] = ()
        # Disconnected from their publishers. The receiving thread takes out what they still
        # hold, and closes them.
        self.retired: list[SubSocket] = []
        self._by_number: dict[int, SubSocket] = {}
        self._lock = threading.Lock()

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
        self.changed()

    def retire(self, number: int) -> None:
        """Deliver what the socket of this number still holds, then close it."""
        with self._lock:
            socket = self._by_number.pop(number, None)
            self.open = tuple(self._by_number.values())
            if socket is not None:
                self.retired.append(socket)
        self.changed()

    def close_all(self) -> None:
        """Close all sockets at once. What they hold is lost."""
        with self._lock:
            sockets = (*self.open, *self.retired)
        for socket in sockets:
            socket.close(0)
