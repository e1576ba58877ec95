"""Ends the wait of a thread inside a SUB socket.

A socket of its own sends that one a message, over a connection inside this process.
"""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from typing import Final

import zmq

from pubsub_common.protocol.events import PRIVATE_MARK

_log = logging.getLogger(__name__)

# What follows a topic of our own in a message that says no more than that somebody rang:
# a zero byte, as always, a kind that nobody else sends, and MessagePack's nil.
_MARK: Final = b"\0\0\xc0"


def is_interrupt(frame: bytes) -> bool:
    """Whether a message says no more than that somebody rang."""
    return (
        frame.startswith(PRIVATE_MARK)
        and frame.endswith(_MARK)
        and frame.find(b"\0") == len(frame) - len(_MARK)
    )


def interrupt_message(topic: bytes | None) -> bytes:
    """What to send to who is subscribed to ``topic``; nothing for None."""
    return b"" if topic is None else topic + _MARK


class Interrupter:
    """Of one SUB socket, which is open."""

    def __init__(self, interrupted: zmq.Socket[bytes]) -> None:
        self._interrupted = interrupted
        self._socket: zmq.Socket[bytes] | None = None
        self._failed = False
        self._lock = threading.RLock()

    @property
    def usable(self) -> bool | None:
        """Whether it can end a wait; None: it was not connected yet."""
        if self._failed:
            return False
        return None if self._socket is None else True

    def connect(self, lock: AbstractContextManager[object]) -> bool:
        """Connect, if it is not; whether it can end a wait. ``lock`` is that of the
        interrupted socket."""
        if self._socket is None and not self._failed:
            try:
                with lock:
                    self._socket = self._connected()
            except zmq.ZMQError as error:  # it takes a socket and a file
                self._failed = True
                _log.info("cannot wait in the socket: %s", error.strerror)
        return self._socket is not None

    def send(self, message: bytes) -> None:
        """Have the socket receive this. For any thread and for signal handlers."""
        with self._lock:
            if self._socket is not None and not self._socket.closed:
                # It has to know what is subscribed to.
                self._socket.get(zmq.EVENTS)
                self._socket.send(message, zmq.NOBLOCK)

    def close(self) -> None:
        """From here on it sends nothing."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()

    def _connected(self) -> zmq.Socket[bytes]:
        sender: zmq.Socket[bytes] = self._interrupted.context.socket(zmq.PUB)
        try:
            sender.linger = 0
            where = f"inproc://interrupter-{id(self)}"
            sender.bind(where)
            self._interrupted.connect(where)
        except BaseException:
            sender.close()
            raise
        return sender
