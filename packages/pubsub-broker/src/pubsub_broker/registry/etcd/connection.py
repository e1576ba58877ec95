"""One connection to one member of etcd."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import time
from typing import Final

from pubsub_broker.registry.etcd.errors import (
    EtcdError,
    EtcdRefused,
    EtcdUnreachable,
    TlsFailed,
)
from pubsub_broker.registry_options import Endpoint
from pubsub_common.protocol.endpoints import bare

# Lists are read in pages, and a transaction writes 1 MiB, so answers are far smaller.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_BLOCK_BYTES: Final = 256 * 1024
# The kernel detects that a host is gone after _IDLE_S + _PROBES * _PROBE_S seconds.
_IDLE_S: Final = 2
_PROBE_S: Final = 1
_PROBES: Final = 3
_VERDICT_S: Final = 0.5


class Connection:
    """Sends requests to one member, one after the other. Connects at the first request,
    and again when the connection has closed."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> None:
        self.endpoint = endpoint
        self._tls = tls
        self._http = http.client.HTTPConnection(*endpoint)

    def post(self, path: str, body: bytes, token: str | None, deadline: float) -> bytes:
        """The body of the answer to a request. ``deadline`` is a time of the monotonic
        clock.

        Raises:
            EtcdUnreachable: there is no answer, or none in time; ``maybe_done`` is
                false if nothing was sent.
            BadStatus: the answer is a failure.
            TlsFailed: the certificates do not match.
        """
        if self._http.sock is not None and _has_ended(self._http.sock):
            self._http.close()
        fresh = self._http.sock is None
        if fresh:
            self._http.sock = connect(self.endpoint, self._tls, deadline)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token
        try:
            self._http.sock.settimeout(remaining(deadline))
            self._http.request("POST", path, body, headers)
            self._http.sock.settimeout(remaining(deadline))
            response = self._http.getresponse()
            data = self._body(response, deadline)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if fresh and not self._tls and isinstance(error, ConnectionError):
                raise EtcdUnreachable(
                    "it closed the connection; it may require TLS"
                ) from error
            raise failure_of(error, maybe_done=True) from error
        except BaseException:
            # The rest of this answer would be taken for the next answer.
            self.close()
            raise
        if response.status != http.client.OK:
            raise BadStatus(response.status, data)
        return data

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._http.close()

    def _body(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        blocks: list[bytes] = []
        size = 0
        while block := response.read1(_BLOCK_BYTES):
            blocks.append(block)
            size += len(block)
            if size > MAX_ANSWER_BYTES:
                raise EtcdRefused(f"an answer has more than {MAX_ANSWER_BYTES} bytes")
            # None after the server has announced that it closes the connection.
            if self._http.sock is not None:
                self._http.sock.settimeout(remaining(deadline))
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # otherwise the connection waits for the rest of it
        return b"".join(blocks)


class BadStatus(Exception):
    """An answer that is a failure: its HTTP status and its body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def connect(
    endpoint: Endpoint, tls: ssl.SSLContext | None, deadline: float
) -> socket.socket:
    """A connected socket, after the TLS handshake. It exceeds ``deadline`` only if
    ``endpoint`` has a host name that the system is slow to resolve.

    Raises:
        EtcdUnreachable: the connection failed, or was too slow.
        TlsFailed: the certificates do not match.
    """
    host = bare(endpoint.host)
    try:
        plain = socket.create_connection((host, endpoint.port), remaining(deadline))
    except OSError as error:
        raise failure_of(error) from error
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        if tls is None:
            return plain
        plain.settimeout(remaining(deadline))
        wrapped = tls.wrap_socket(plain, server_hostname=host)
    except ConnectionResetError as error:
        # like a failure in the handshake: the timing decides between the two
        plain.close()
        raise failure_of(ssl.SSLEOFError()) from error
    except OSError as error:
        plain.close()
        raise failure_of(error) from error
    try:
        _wait_for_verdict(wrapped)
    except OSError as error:
        wrapped.close()
        raise failure_of(error) from error
    return wrapped


def _wait_for_verdict(wrapped: ssl.SSLSocket) -> None:
    """In TLS 1.3 a server checks the client's certificate after the handshake. Then it
    sends a ticket, or the reason for its rejection, which would be lost if a request
    met a closed port.

    Raises:
        OSError: it rejects the certificate.
    """
    if wrapped.version() != "TLSv1.3":
        return
    poller = select.poll()
    poller.register(wrapped, select.POLLIN)
    poller.poll(_VERDICT_S * 1000)
    wrapped.settimeout(0.0)
    with contextlib.suppress(ssl.SSLWantReadError):
        if not wrapped.recv(0x4000):
            raise ConnectionResetError(0, "it closed the connection")


def remaining(deadline: float) -> float:
    """The seconds until the deadline.

    Raises:
        TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def failure_of(
    error: OSError | http.client.HTTPException, *, maybe_done: bool = False
) -> EtcdError:
    """The etcd error for an error of a socket or of HTTP."""
    match error:
        case ssl.SSLCertVerificationError():
            return TlsFailed(f"its certificate is not accepted: {error.verify_message}")
        case ssl.SSLEOFError():
            text = "it closed the TLS connection; it may not use TLS"
        case ssl.SSLError(reason=str(reason)):
            return TlsFailed(f"TLS failed: {reason.lower().replace('_', ' ')}")
        case TimeoutError():
            text = "no answer in time"
        case http.client.RemoteDisconnected() | http.client.IncompleteRead():
            text = "it closed the connection"
        case OSError(strerror=str(text)):
            text = text.lower()
        case _:
            text = f"the answer is not HTTP: {error!r}"
    return EtcdUnreachable(text, maybe_done=maybe_done)


def _has_ended(idle: socket.socket) -> bool:
    """Whether the server sent something without a request: usually the end."""
    poller = select.poll()
    poller.register(idle, select.POLLIN)
    return bool(poller.poll(0))
