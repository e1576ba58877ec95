"""Ends the wait of a thread inside a SUB socket.

Another socket sends it a message, over a connection inside this process.
"""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from typing import Final

import zmq

from pubsub_common.protocol.events import PRIVATE_MARK

_log = logging.getLogger(__name__)

# Follows the topic in a message that only ends a wait: the zero byte, a kind that only this module
# sends, and MessagePack's nil.
_MARK: Final = b"\0\0\xc0"


def is_interrupt(frame: bytes) -> bool:
    """Whether a message only ends a wait."""
    return (
        frame.startswith(PRIVATE_MARK)
        and frame.endswith(_MARK)
        and frame.find(b"\0") == len(frame) - len(_MARK)
    )


def interrupt_message(topic: bytes | None) -> bytes:
    """The message for a socket that is subscribed to ``topic``; empty for None."""
    return b"" if topic is None else topic + _MARK


class Interrupter:
    """Interrupts one open SUB socket."""

    def __init__(self, interrupted: zmq.Socket[bytes]) -> None:
        self._interrupted = interrupted
        self._socket: zmq.Socket[bytes] | None = None
        self._failed = False
        self._lock = threading.RLock()

    @property
    def usable(self) -> bool | None:
        """Whether it can end a wait; None: not connected yet."""
        if self._failed:
            return False
        return None if self._socket is None else True

    def connect(self, lock: AbstractContextManager[object]) -> bool:
        """Connect, if it is not connected. Returns whether it can end a wait. ``lock`` is the
        lock of the interrupted socket."""
        if self._socket is None and not self._failed:
            try:
                with lock:
                    self._socket = self._connected()
            except zmq.ZMQError as error:  # it needs a socket and a descriptor
                self._failed = True
                _log.info("cannot wait in the socket: %s", error.strerror)
        return self._socket is not None

    def send(self, message: bytes) -> None:
        """Send this to the socket. For any thread and for signal handlers."""
        with self._lock:
            if self._socket is not None and not self._socket.closed:
                # It must know the subscriptions.
                self._socket.get(zmq.EVENTS)
                self._socket.send(message, zmq.NOBLOCK)

    def close(self) -> None:
        """Stop sending."""
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
