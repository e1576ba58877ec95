"""ZeroMQ sockets that two threads share.

Theory of operation
-------------------
A data socket belongs to the user's thread, which sends or receives, and to the control
thread, which answers handshakes or connects to a new publisher. libzmq sockets are not
thread safe; a lock with its memory fence makes them so.

Waiting must not hold that lock, so threads wait on the socket's file descriptor
(``ZMQ_FD``). It is edge triggered: it becomes readable when libzmq has an event for the
socket, and *any* operation on the socket may consume it. So before a thread releases
the lock after an operation, it must either read all messages or wake the other thread.

A subscriber that receives one event at a time does wait with the lock, where it can be
interrupted (`pubsub_subscriber.connections.sub_socket`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_common.defaults import (
    FIRST_SUBSCRIPTION_S,
    MAX_SUBSCRIPTION_BYTES,
    SUBSCRIPTION_BUFFER_BYTES,
    SUBSCRIPTION_QUEUE,
)
from pubsub_common.net.tcp_table import slowest_reader, unsent_bytes
from pubsub_common.protocol.endpoints import port_of
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.validation import MAX_PORT

_POLLIN: Final = int(zmq.POLLIN)
_TCP_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_EMPTY_READS: Final = 2
_READ_INTERVAL_S: Final = 0.002
_STALLED_S: Final = 0.25
_KEEPALIVE_S: Final = 2
_KEEPALIVE_COUNT: Final = 3
DEAD_CONNECTION_S: Final = _KEEPALIVE_S * (1 + _KEEPALIVE_COUNT)
_CONNECT_MS: Final = 2000
_RECONNECT_MS: Final = 100
_RECONNECT_MAX_MS: Final = 1000


def bound_queues(socket: zmq.Socket[bytes], bounds: QueueBounds) -> None:
    """Limit the queues of an event socket, and the length of a message: libzmq closes
    the connection of a peer that sends a longer one. At a port for subscribers only
    subscriptions come in, and few of them wait."""
    socket.set_hwm(bounds.messages)
    accepts = socket.type in (zmq.XPUB, zmq.PUB)
    limit = MAX_SUBSCRIPTION_BYTES if accepts else bounds.frame_bytes
    socket.setsockopt(zmq.MAXMSGSIZE, limit)
    if accepts:
        socket.setsockopt(zmq.RCVHWM, SUBSCRIPTION_QUEUE)
        socket.setsockopt(zmq.RCVBUF, SUBSCRIPTION_BUFFER_BYTES)
        socket.setsockopt(zmq.HANDSHAKE_IVL, round(FIRST_SUBSCRIPTION_S * 1000))
    else:
        socket.setsockopt(zmq.RCVHWM, bounds.received_messages)


def enable_keepalive(socket: zmq.Socket[bytes]) -> None:
    """Close a connection, and reconnect, if its other side has been unreachable for
    some `DEAD_CONNECTION_S` seconds without closing it.

    This uses TCP's probes, not ZeroMQ's own heartbeats. Those consider a peer dead that
    just does not read, since its pings wait behind the events. libzmq 4.3.5 then drops
    its queue, or, on the subscriber's side, ends the process with a failed assertion
    (`_input_stopped`). The kernel answers TCP's probes.
    """
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)
    # Otherwise an attempt that began while the link was down continues for minutes
    # after.
    socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_MS)
    # Less often without an answer: a subscriber may have hundreds of dead addresses.
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)


def option_reader(socket: zmq.Socket[bytes], option: int) -> Callable[[], int]:
    """A function that returns the value of an integer ``option`` of ``socket``, without
    pyzmq's wrapper, which makes an enumeration of it."""
    backend: Any = zmq.backend.Socket
    return functools.partial(backend.get.__get__(socket), int(option))


def reconnect(socket: zmq.Socket[bytes], where: str) -> None:
    """Connect ``socket`` again to the endpoint ``where``, which libzmq may have given
    up."""
    with contextlib.suppress(zmq.ZMQError):  # it may have removed it
        socket.disconnect(where)
    connect(socket, where)


class DataSocket:
    """A ZeroMQ data socket with the lock that guards it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], kind: int, bounds: QueueBounds
    ) -> None:
        self.lock = threading.Lock()
        self.socket = context.socket(kind)
        bound_queues(self.socket, bounds)
        enable_keepalive(self.socket)
        self.fd: int = self.socket.FD
        # Something if a message waits. The caller holds the lock. With cold caches this takes
        # 15 us, and the socket's option 20: pyzmq makes an enumeration of it.
        self.events: Callable[[], object] = functools.partial(
            zmq.backend.zmq_poll, [(self.socket, _POLLIN)], 0
        )

    def receive(self) -> bytes | None:
        """One message without waiting, or None. The caller holds the lock."""
        return self.socket.recv(zmq.NOBLOCK) if self.readable() else None

    def readable(self) -> bool:
        """Whether a message waits. The caller holds the lock. This takes a tenth of the
        time of a `receive` without a message, which raises an exception."""
        return bool(self.events())

    def waits(self) -> bool:
        """`readable`, for callers without the lock. On one line: an exception of a
        tracer between two lines would leave it locked."""
        with self.lock: return self.readable()  # noqa: E701  # fmt: skip

    def close(self, linger_s: float) -> None:
        with self.lock:
            if not self.socket.closed:
                self.socket.close(linger=round(linger_s * 1000))


def tcp_table() -> str | None:
    """Linux's table of the TCP connections in this network namespace, for
    `pubsub_common.net.tcp_table`; None on other systems."""
    found = []
    for path in _TCP_TABLES:
        with contextlib.suppress(OSError):  # a kernel may lack IPv6
            found.append(path.read_text())
    return "".join(found) if found else None


def wait_until_sent(port: int, timeout_s: float) -> tuple[str, int] | None:
    """Wait until everything written to the connections of a local TCP port has reached
    the other side, at most ``timeout_s`` seconds, and not for a peer that does not
    read. Returns the slowest peer and its bytes, as `slowest_reader`, if some are left.

    Call it before a data socket is closed. If a message (a subscription) comes in at
    that moment, the kernel answers the close with a reset and discards unsent data, for
    any linger time of libzmq: the last megabytes of a stream.
    """
    deadline = time.monotonic() + timeout_s
    quiet = 0
    before, moved_at = -1, time.monotonic()
    # Twice nothing: in between, libzmq's thread would have written more if it had any.
    while quiet < _EMPTY_READS:
        table = tcp_table()
        if table is None:
            return None
        now = time.monotonic()
        left = unsent_bytes(port, table)
        if left != before:
            before, moved_at = left, now
        if left and (now >= deadline or now - moved_at >= _STALLED_S):
            return slowest_reader(port, table)
        quiet = 0 if left else quiet + 1
        time.sleep(_READ_INTERVAL_S)
    return None


def has_input(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message waits on ``socket``."""
    return bool(int(socket.get(zmq.EVENTS)) & zmq.POLLIN)


def endpoint(host: str, port: int | str) -> str:
    """``tcp://host:port``."""
    return f"tcp://{host}:{port}"


def connect(socket: zmq.Socket[bytes], where: str) -> None:
    """Connect ``socket`` to the endpoint ``where``, ``tcp://host:port``."""
    _set_family(socket, where)
    socket.connect(where)


def bind(socket: zmq.Socket[bytes], where: str) -> int:
    """Bind ``socket`` to the endpoint ``where``, ``tcp://host:port``; returns the port,
    a free one for ``*`` or 0.

    Raises:
        zmq.ZMQError: the port is taken, or the host is not one of this machine's.
    """
    _set_family(socket, where)
    socket.bind(where)
    return port_of(socket.getsockopt_string(zmq.LAST_ENDPOINT))


def _set_family(socket: zmq.Socket[bytes], where: str) -> None:
    """Let ``socket`` use IPv6 or IPv4 next, as ``where`` needs. With IPv6 allowed,
    libzmq would also reach IPv4 addresses through IPv6 sockets, which not every kernel
    has, and which appear in tables and limits as other addresses."""
    socket.setsockopt(zmq.IPV6, where.startswith("tcp://["))


def bind_first_free(
    socket: zmq.Socket[bytes], host: str, port: int, last: int = MAX_PORT
) -> int | None:
    """Bind to the first free port from ``port`` to ``last``, or for 0 to any; None if
    none is free.

    Raises:
        zmq.ZMQError: the host is not one of this machine's.
    """
    for candidate in range(port, last + 1):
        try:
            return bind(socket, endpoint(host, candidate))
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EADDRINUSE, errno.EACCES):
                raise
    return None
