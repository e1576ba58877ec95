"""An open watch, with etcd's answers to it as they come."""

from __future__ import annotations

import select
import socket
import ssl
from typing import Final

from pubsub_broker.registry.etcd.answers import (
    WatchAnswer,
    decode_streamed,
    failure_in,
)
from pubsub_broker.registry.etcd.connection import connect, failure_of, remaining
from pubsub_broker.registry.etcd.errors import EtcdUnreachable
from pubsub_broker.registry.etcd.requests import (
    Watch,
    WatchCreate,
    encode,
    prefix_end,
)
from pubsub_broker.registry.etcd.stream_lines import StreamLines
from pubsub_broker.registry_options import Endpoint

_OK: Final = 200
_BLOCK_BYTES: Final = 1024 * 1024


class WatchStream:
    """Complete answers only: if the connection breaks within one, that answer is
    dropped. The connection's own probes detect a host that is gone; the keep-alives to
    the same member detect one that hangs, or has lost the others."""

    def __init__(self, stream: socket.socket, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._socket = stream
        self._lines = StreamLines()
        self._first: list[WatchAnswer] = []

    def begin(self, deadline: float) -> None:
        """Wait for the first answer, which shows whether the watch is allowed; `read`
        returns it.

        Raises:
            EtcdError: it is not, or did not start in time.
        """
        first: list[WatchAnswer] = []
        while not first:
            try:
                first = self.read(remaining(deadline))
            except TimeoutError as error:
                raise failure_of(error) from error
        self._first = first

    def fileno(self) -> int:
        """For a poll; without an event there may still be data: `pending`."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Whether data is available that was read already."""
        return bool(self._first) or self._decrypted()

    def _decrypted(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def read(self, timeout_s: float) -> list[WatchAnswer]:
        """The answers that came; none if nothing came within ``timeout_s``.

        Raises:
            EtcdUnreachable: the stream has ended.
            EtcdError: etcd ended it, with a reason.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        if not self._decrypted():
            poller = select.poll()
            poller.register(self._socket, select.POLLIN)
            if not poller.poll(timeout_s * 1000):
                return []
        try:
            data = self._socket.recv(_BLOCK_BYTES)
        except TimeoutError:
            return []  # part of a TLS record
        except OSError as error:
            raise failure_of(error) from error
        if not data:
            if self._lines.status not in (0, _OK):
                raise failure_in(self._lines.status, self._lines.rest)
            raise EtcdUnreachable(f"etcd at {self.endpoint} ended the watch")
        lines = self._lines.feed(data)
        return [checked(decode_streamed(line, WatchAnswer)) for line in lines]

    def close(self) -> None:
        """End the watch."""
        self._socket.close()


def checked(answer: WatchAnswer) -> WatchAnswer:
    """Return an answer unless it rejects the watch. The end of a watch because of a
    compaction is a normal answer.

    Raises:
        EtcdError: it rejects the watch.
    """
    if answer.canceled and not answer.compact_revision:
        reason = answer.cancel_reason or "no reason given"
        raise failure_in(400, encode({"error": f"it ended the watch: {reason}"}))
    return answer


def open_watch(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None,
    token: str | None,
    prefix: bytes,
    revision: int,
    deadline: float,
) -> WatchStream:
    """Ask a member to report each change of the keys of a prefix from ``revision`` on.

    Raises:
        EtcdError: the member cannot be asked, or rejects this.
    """
    create = WatchCreate(prefix, prefix_end(prefix), revision)
    body = encode(Watch(create))
    authorization = f"Authorization: {token}\r\n" if token else ""
    head = (
        f"POST /v3/watch HTTP/1.0\r\nHost: {endpoint}\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    stream = connect(endpoint, tls, deadline)
    try:
        stream.settimeout(remaining(deadline))
        stream.sendall(head.encode() + body)
        stream.settimeout(0.1)  # the time for the rest of a TLS record
    except OSError as error:
        stream.close()
        raise failure_of(error) from error
    watch = WatchStream(stream, endpoint)
    try:
        watch.begin(deadline)
    except BaseException:
        watch.close()
        raise
    return watch
