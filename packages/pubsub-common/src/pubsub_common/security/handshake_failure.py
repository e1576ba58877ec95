"""Explains why a client's security handshake failed.

If keys are missing, wrong or not supported, the socket itself shows nothing: libzmq
closes the connection and, at most, retries. Its monitor knows more, but not always
everything: a server that cannot decrypt a client's message just closes the connection.
"""

from __future__ import annotations

import dataclasses
import enum
import time
from typing import Final, Self

import zmq

from pubsub_common.security import greeting_probe
from pubsub_common.security.socket_monitor import SocketMonitor

_EVENTS: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
)
_ATTEMPTS: Final = zmq.EVENT_CONNECTED | zmq.EVENT_CLOSED
# One closed connection can be a server that is stopping, and a few refused ones a
# server that is starting. libzmq retries after some 0.15 s.
_CERTAIN_AFTER: Final = 3


class FailureReason(enum.Enum):
    """Why a handshake failed."""

    KEY_REJECTED = "the other side rejects this key"
    SECURITY_MISMATCH = "one side uses keys and the other does not"
    WRONG_SERVER_KEY = "the other side has another key than was expected"
    DISCONNECTED = "the other side closed the connection"
    NOT_CONNECTED = "the connection could not be made"


@dataclasses.dataclass(frozen=True, slots=True)
class HandshakeFailure:
    """A failed handshake. Unless ``retrying``, libzmq will not reconnect."""

    reason: FailureReason
    retrying: bool


def probe_reason(
    failure: HandshakeFailure, where: str, *, with_keys: bool
) -> HandshakeFailure:
    """The failure at ``where``, with its reason if the other side only closed the
    connection and its greeting shows whether it requires keys."""
    if failure.reason is not FailureReason.DISCONNECTED:
        return failure
    wanted = greeting_probe.probe(where)
    if wanted is None:
        return failure
    if wanted is not with_keys:
        return dataclasses.replace(failure, reason=FailureReason.SECURITY_MISMATCH)
    return (
        dataclasses.replace(failure, reason=FailureReason.WRONG_SERVER_KEY)
        if with_keys
        else failure
    )


def explain(failure: HandshakeFailure, where: str, keys: str | None) -> str:
    """The text for the user of a client of the broker at ``where``, with the keys in the
    file ``keys``, or without any."""
    if failure.reason is FailureReason.KEY_REJECTED:
        return (
            f"the broker at {where} rejects the keys of {keys}: they are not "
            "enrolled there, or were revoked or have expired "
            "(pubsub-broker list shows it, enroll makes new ones)"
        )
    if failure.reason is FailureReason.SECURITY_MISMATCH and keys is None:
        return (
            f"the broker at {where} requires keys: give this program its file with --keys "
            "FILE or PUBSUB_KEYS (in Python: keys=FILE)"
        )
    if failure.reason is FailureReason.SECURITY_MISMATCH:
        return (
            f"the broker at {where} is not secure, and {keys} is for one that is: "
            "start it with --secure, or leave --keys away"
        )
    if failure.reason is FailureReason.WRONG_SERVER_KEY and keys is not None:
        return (
            f"the broker at {where} has another key than the one in {keys}: that file "
            "is for another broker"
        )
    if failure.reason is FailureReason.NOT_CONNECTED:
        return f"no connection to the broker at {where} can be made"
    if keys is None:
        return (
            f"{where} closes the connection: a broker that requires keys (--keys FILE), "
            "or not a broker"
        )
    return (
        f"{where} closes the connection: the broker there has another key than the one in {keys}, "
        "or it is not a broker"
    )


class HandshakeFailureDetector:
    """Turns events of a socket monitor into failures."""

    def __init__(self) -> None:
        self._disconnects = 0
        self._attempts = 0

    def take(self, event: int, value: int) -> HandshakeFailure | None:
        """Process one event; returns the failure if it is certain."""
        match event:
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._disconnects = 0
            case zmq.EVENT_CONNECTED:
                self._attempts = 0
            case zmq.EVENT_CLOSED:  # of a connection that failed
                self._attempts += 1
                if self._attempts == _CERTAIN_AFTER:
                    return HandshakeFailure(FailureReason.NOT_CONNECTED, retrying=True)
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return HandshakeFailure(FailureReason.KEY_REJECTED, retrying=False)
            case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                    return HandshakeFailure(
                        FailureReason.SECURITY_MISMATCH, retrying=False
                    )
                return HandshakeFailure(FailureReason.DISCONNECTED, retrying=False)
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._disconnects += 1
                if self._disconnects == _CERTAIN_AFTER:
                    return HandshakeFailure(FailureReason.DISCONNECTED, retrying=True)
        return None


class ClientHandshakeMonitor:
    """Monitors one socket that connects; like a `SocketMonitor` for threads."""

    def __init__(self, socket: zmq.Socket[bytes], *, attempts: bool = False) -> None:
        """With ``attempts``, connections that cannot be made are failures too."""
        self._detector = HandshakeFailureDetector()
        self._watched = socket
        events = _EVENTS | _ATTEMPTS if attempts else _EVENTS
        self._monitor = SocketMonitor(socket, events)
        self.fd = self._monitor.fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for_input(self, timeout_s: float) -> HandshakeFailure | None:
        """Wait until a message arrives on the socket; returns a failure if it comes
        first. After ``timeout_s`` seconds it returns None. For the socket's thread."""
        poller = zmq.Poller()
        for socket in (self._watched, self._monitor.socket):
            poller.register(socket, zmq.POLLIN)
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            ready = dict(poller.poll(round(left_s * 1000) + 1))
            if self._watched in ready:
                return None
            if failures := self.failures():
                return failures[0]  # it is certain, or has occurred several times
        return None

    def failures(self) -> list[HandshakeFailure]:
        """The failures since the last call."""
        judged = [self._detector.take(*event) for event in self._monitor.read()]
        return [failure for failure in judged if failure is not None]

    def close(self) -> None:
        """Stop monitoring."""
        self._monitor.close()
