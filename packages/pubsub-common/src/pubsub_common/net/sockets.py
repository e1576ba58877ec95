"""ZeroMQ sockets that two threads share, and wakers for threads that poll.

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
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_common.defaults import MAX_PAYLOAD_BYTES, MAX_SUBSCRIPTION_BYTES
from pubsub_common.net.tcp_table import unsent_bytes

_log = logging.getLogger(__name__)

_POLLIN: Final = int(zmq.POLLIN)
_TCP_TABLE: Final = Path("/proc/net/tcp")
_EMPTY_READS: Final = 2
_READ_INTERVAL_S: Final = 0.002
_STALLED_S: Final = 0.25
_KEEPALIVE_S: Final = 2
_KEEPALIVE_COUNT: Final = 3
DEAD_CONNECTION_S: Final = _KEEPALIVE_S * (1 + _KEEPALIVE_COUNT)
_CONNECT_MS: Final = 2000
# To end a context takes libzmq less than a millisecond, unless it never does.
_TERM_S: Final = 3.0
# See `new_context`.
_FREED_BYTES: Final = 8 * 2**20


# A frame is a topic, some numbers and the payload.
_MAX_FRAME_BYTES: Final = MAX_PAYLOAD_BYTES + 4096


def limit_received(socket: zmq.Socket[bytes], *, subscriptions: bool = False) -> None:
    """Close the connection of a peer that sends a longer message than is possible: an
    event, or, with ``subscriptions``, what comes in where subscribers connect."""
    limit = MAX_SUBSCRIPTION_BYTES if subscriptions else _MAX_FRAME_BYTES
    socket.setsockopt(zmq.MAXMSGSIZE, limit)


class Waker:
    """A file descriptor that any thread (or a signal handler) can make readable."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Between another thread's look at the descriptor and its write, `close`
        # must not come. Reentrant, for the sake of signal handlers.
        self._lock = threading.RLock()

    def wake(self) -> None:
        """Make `fd` readable until `clear`. A wake after `close` does nothing."""
        # Blocking is when it is full, hence already readable.
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._write_fd >= 0:
                os.write(self._write_fd, b"\0")

    def clear(self) -> None:
        """Make `fd` unreadable again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def close(self) -> None:
        with self._lock:
            write_fd, self._write_fd = self._write_fd, -1
        if write_fd >= 0:
            os.close(write_fd)
            os.close(self.fd)


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
    socket.connect(where)


class DataSocket:
    """A ZeroMQ data socket with the lock that guards it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], kind: int, queue_limit: int
    ) -> None:
        self.lock = threading.Lock()
        self.socket = context.socket(kind)
        self.socket.set_hwm(queue_limit)
        enable_keepalive(self.socket)
        limit_received(self.socket, subscriptions=kind == zmq.XPUB)
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
        """`readable`, for who does not hold the lock."""
        with self.lock:
            return self.readable()

    def close(self, linger_s: float) -> None:
        with self.lock:
            if not self.socket.closed:
                self.socket.close(linger=round(linger_s * 1000))


def tcp_table() -> str | None:
    """What Linux tells of this network namespace's TCP connections, for
    `pubsub_common.net.tcp_table`; None on other systems."""
    try:
        return _TCP_TABLE.read_text()
    except OSError:
        return None


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


def new_context(sockets: int | None = None) -> zmq.Context[zmq.Socket[bytes]]:
    """A ZeroMQ context of our own, so that ending one role never ends another. It has room
    for so many ``sockets``, or for 1023.

    From here on glibc keeps up to 16 MiB that are freed at the end of a heap, not 128 KiB.
    Otherwise each large message is in pages that the kernel took back after the last one,
    and has to clear again. The limit is twice the largest block that was mapped and freed
    so far (mallopt(3), M_TRIM_THRESHOLD). Nothing is ever written to this one.
    """
    bytes(_FREED_BYTES)
    context = zmq.Context()
    if sockets is not None:
        context.set(zmq.MAX_SOCKETS, min(sockets, int(context.get(zmq.SOCKET_LIMIT))))
    return context


def terminate_context(
    context: zmq.Context[zmq.Socket[bytes]], lingering_s: float = 0.0
) -> bool:
    """Terminate ``context``, waiting for what its sockets, which are closed, have to send
    for at most ``lingering_s`` seconds yet. False when it did not end, and is left behind.

    In a thread, because a signal would cut the wait short in the main thread, and because
    libzmq 4.3.5 sometimes never ends it: a socket with messages waiting that is closed
    just when its peer disconnects is not always let go of, whatever its linger time
    (`scripts/libzmq_term_hang.py` shows it).
    """
    thread = threading.Thread(target=context.term, name="pubsub-term", daemon=True)
    thread.start()
    thread.join(max(0.0, lingering_s) + _TERM_S)
    if thread.is_alive():
        _log.info("libzmq does not end; its thread is left behind")
    return not thread.is_alive()


def has_input(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message waits on ``socket``."""
    return bool(int(socket.get(zmq.EVENTS)) & zmq.POLLIN)


def endpoint(host: str, port: int | str) -> str:
    """``tcp://host:port``."""
    return f"tcp://{host}:{port}"


def bind_first_free(socket: zmq.Socket[bytes], host: str, port: int) -> int | None:
    """Bind to the first free port from ``port`` on, of 0 to any; None when there is none.

    Raises:
        zmq.ZMQError: the host is not one of this machine's.
    """
    for candidate in range(port, 65536):
        try:
            socket.bind(endpoint(host, candidate))
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EADDRINUSE, errno.EACCES):
                raise
        else:
            return candidate or int(
                socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
            )
    return None
