"""Finds out why a client's connection to the broker fails, and whether that is final."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
    HandshakeFailure,
    explain,
    probe_reason,
)

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

# How long after a failure that libzmq treats as final the socket connects again.
_RECONNECT_S: Final = 1.0


class Diagnosis(NamedTuple):
    """Why a handshake failed, for the user. ``final``: another try does not help.
    ``connected``: there was a connection."""

    text: str
    final: bool
    connected: bool = True


class HandshakeDiagnosis:
    """Watches the handshakes of a control socket. For its thread."""

    def __init__(self, socket: ControlSocket, keys: ClientKeys | None) -> None:
        self._socket = socket
        self._keys_path = None if keys is None else keys.path or "this client"
        self._monitor = ClientHandshakeMonitor(socket.socket, attempts=True)
        self._reconnect_at: float | None = None
        self.fd = self._monitor.fd

    def next_deadline(self) -> float | None:
        """When `check` is due; None: when `fd` is readable."""
        return self._reconnect_at

    def check(self, *, registered: bool) -> list[Diagnosis]:
        """The failures since the last call. ``registered``: the broker has accepted this
        client before, so it may be another broker for a short time."""
        found = [
            self._diagnose(failure, registered)
            for failure in self._monitor.failures()
            # A restarting broker is unreachable for a while.
            if not (registered and failure.reason is FailureReason.NOT_CONNECTED)
        ]
        if self._reconnect_at is not None and time.monotonic() >= self._reconnect_at:
            self._reconnect_at = None
            self._socket.reconnect()
        return found

    def _diagnose(self, failure: HandshakeFailure, registered: bool) -> Diagnosis:
        with_keys = self._keys_path is not None
        where = self._socket.endpoint.removeprefix("tcp://")
        failure = probe_reason(failure, where, with_keys=with_keys)
        mismatch = failure.reason is FailureReason.SECURITY_MISMATCH and not registered
        final = failure.reason is FailureReason.KEY_REJECTED or mismatch
        if not final and not failure.retrying:
            self._reconnect_at = time.monotonic() + _RECONNECT_S
        text = explain(failure, where, self._keys_path)
        connected = failure.reason is not FailureReason.NOT_CONNECTED
        return Diagnosis(text, final, connected)

    def close(self) -> None:
        """Stop watching; before the socket is closed."""
        self._monitor.close()
