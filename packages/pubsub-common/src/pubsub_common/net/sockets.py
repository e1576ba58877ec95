"""ZeroMQ sockets that two threads share.

Theory of operation
-------------------
A data socket belongs to the user's thread, which sends or receives, and to the
control thread, which answers handshakes or connects to a new publisher. libzmq
sockets are not thread safe; a lock with its memory fence makes them so.

Waiting must not hold that lock, hence threads wait on the socket's file descriptor
(``ZMQ_FD``). It is edge triggered: it becomes readable when libzmq has news for the
socket, and *any* operation on the socket may take the news away. So a thread that has
operated on a socket that another thread waits for must, before letting go of the
lock, either leave nothing to read or wake the other thread.

A subscriber that receives one event at a time waits with the lock after all, where it can
be called out (`pubsub_subscriber.connections.sub_socket`).
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
from pubsub_common.net.tcp_table import unsent_bytes
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
    """Limit what waits in the queues of an event socket, and how long a message may be:
    libzmq closes the connection of a peer that sends a longer one. Where subscribers
    connect, only subscriptions come in, and little of them waits."""
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
    """Have a connection end, and be made again, when its other side cannot be reached
    for some `DEAD_CONNECTION_S` seconds, though nobody closed it.

    By TCP's probes, not by ZeroMQ's own heartbeats: those take a peer for dead that only
    does not read, since its pings wait behind the events. libzmq 4.3.5 then drops what is
    queued for it, or, on the subscriber's side, ends the process with a failed assertion
    (`_input_stopped`). TCP's probes are answered by the kernel.
    """
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)
    # Else one that was begun while the link was down goes on for minutes after it.
    socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_MS)
    # Less often where nobody answers: a subscriber may have hundreds of dead addresses.
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)


def option_reader(socket: zmq.Socket[bytes], option: int) -> Callable[[], int]:
    """What tells the value of an integer ``option`` of ``socket`` at each call. Without
    pyzmq's wrapper, which makes an enumeration of the answer."""
    backend: Any = zmq.backend.Socket
    return functools.partial(backend.get.__get__(socket), int(option))


def reconnect(socket: zmq.Socket[bytes], where: str) -> None:
    """Connect ``socket`` to the endpoint ``where`` once more, on which libzmq may have
    given up."""
    with contextlib.suppress(zmq.ZMQError):  # it may have let go of it
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
        # What may be done with the socket at once: POLLIN, POLLOUT. The caller holds the
        # lock.
        self.events = option_reader(self.socket, zmq.EVENTS)

    def receive(self) -> bytes | None:
        """One message without waiting, or None. The caller holds the lock."""
        return self.socket.recv(zmq.NOBLOCK) if self.readable() else None

    def readable(self) -> bool:
        """Whether a message waits. The caller holds the lock. A tenth of the time of a
        `receive` for nothing, which makes an exception."""
        return bool(self.events() & _POLLIN)

    def waits(self) -> bool:
        """`readable`, for who does not hold the lock. On one line: an exception of a tracer
        between its two would leave it locked."""
        with self.lock: return self.readable()  # noqa: E701  # fmt: skip

    def close(self, linger_s: float) -> None:
        with self.lock:
            if not self.socket.closed:
                self.socket.close(linger=round(linger_s * 1000))


def tcp_table() -> str | None:
    """What Linux tells of this network namespace's TCP connections, for
    `pubsub_common.net.tcp_table`; None on other systems."""
    found = []
    for path in _TCP_TABLES:
        with contextlib.suppress(OSError):  # a kernel may lack IPv6
            found.append(path.read_text())
    return "".join(found) if found else None


def wait_until_sent(port: int, timeout_s: float) -> None:
    """Wait until all that was written to the connections of a local TCP port has reached
    the other side, but not longer than ``timeout_s`` seconds, and not for a peer that does not
    read.

    To be called before a data socket is closed. Should something come in just then (a
    subscription), the kernel answers the close with a reset and throws away what it has
    not sent, whatever libzmq's linger time is: the last megabytes of a stream.
    """
    deadline = time.monotonic() + timeout_s
    quiet = 0
    before, moved_at = -1, time.monotonic()
    # Twice nothing: in between, libzmq's thread would have written more if it had any.
    while quiet < _EMPTY_READS:
        table = tcp_table()
        if table is None:
            return
        now = time.monotonic()
        left = unsent_bytes(port, table)
        if left != before:
            before, moved_at = left, now
        if left and (now >= deadline or now - moved_at >= _STALLED_S):
            return
        quiet = 0 if left else quiet + 1
        time.sleep(_READ_INTERVAL_S)


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
    """Bind ``socket`` to the endpoint ``where``, ``tcp://host:port``; returns the port, which
    is a free one for ``*`` or 0.

    Raises:
        zmq.ZMQError: the port is taken, or the host is not one of this machine's.
    """
    _set_family(socket, where)
    socket.bind(where)
    return port_of(socket.getsockopt_string(zmq.LAST_ENDPOINT))


def _set_family(socket: zmq.Socket[bytes], where: str) -> None:
    """What libzmq does next with ``socket`` is by IPv6 or IPv4, as ``where`` needs: with IPv6
    allowed it would reach IPv4 addresses by sockets of IPv6 too, which not every kernel
    has, and which tables and limits then show as other addresses."""
    socket.setsockopt(zmq.IPV6, where.startswith("tcp://["))


def bind_first_free(
    socket: zmq.Socket[bytes], host: str, port: int, last: int = MAX_PORT
) -> int | None:
    """Bind to the first free port from ``port`` to ``last``, of 0 to any; None when there is
    none.

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
