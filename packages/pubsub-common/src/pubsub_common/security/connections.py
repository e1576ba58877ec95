"""Finds the TCP connection that a message came by, and closes it.

libzmq has no call to close one peer's connection. But every message tells the file
descriptor of its connection; once that is shut down, libzmq finds the connection closed
and forgets the peer, as if it had gone by itself.

A descriptor's number is used again soon. So a connection is known by its number and the
address at its other end, which are the same again only after both have been free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import sys
import termios
from pathlib import Path
from typing import NamedTuple

import zmq

from pubsub_common.net.tcp_info import tcp_info
from pubsub_common.protocol.endpoints import written


class Connection(NamedTuple):
    """A TCP connection of this process: its descriptor, host and port at its other end, and
    the port of ours that it goes through."""

    fd: int
    remote: tuple[str, int]
    port: int


class Sent(NamedTuple):
    """What the other side of a connection has taken: ``acknowledged`` bytes since there is the
    connection; ``whole``: all that was written to it."""

    acknowledged: int
    whole: bool


class Written(NamedTuple):
    """What was written to a connection: ``bytes`` since there is the connection, of which the
    kernel has not sent the last ``unsent``."""

    bytes: int
    unsent: int


def frame_property(frame: zmq.Frame, name: str) -> str | None:
    """What libzmq knows of where a message came from, by ``name``; None: nothing."""
    try:
        return str(frame.get(name))
    except zmq.ZMQError:
        return None


def user_of(frame: zmq.Frame) -> str | None:
    """The public key of the sender of a message, on a socket that acts as a server. None for
    what libzmq says itself: the end of a peer's subscriptions when it is gone."""
    return frame_property(frame, "User-Id")


def connection_of(frame: zmq.Frame) -> Connection | None:
    """The connection that a message came by; None if it is gone."""
    fd = frame_property(frame, "__fd")
    if fd is None:
        return None
    return connection_at(int(fd))


def connection_at(fd: int) -> Connection | None:
    """The TCP connection that has this descriptor; None when none has."""
    copy = _copy(fd)
    if copy is None:
        return None
    with copy:
        try:
            return Connection(fd, _remote(copy), copy.getsockname()[1])
        except (OSError, ValueError, IndexError):
            return None


def close_connection(connection: Connection) -> bool:
    """End this connection; False when it is gone already."""
    copy = _copy(connection.fd)
    if copy is None:
        return False
    with copy, contextlib.suppress(OSError):
        # Of the copy: had the number been used again since, it would be another's.
        if _remote(copy) == connection.remote:
            copy.shutdown(socket.SHUT_RDWR)
            return True
    return False


def sent_by(connection: Connection) -> Sent | None:
    """What became of what was written to a connection; None when it is gone."""
    copy = _copy(connection.fd)
    if copy is None:
        return None
    with copy:
        try:
            if _remote(copy) != connection.remote:
                return None
            info = tcp_info(copy)
        except OSError:
            return None
    if info is None or info.unsent is None:  # the kernel does not say
        return Sent(0, whole=True)
    return Sent(info.acknowledged, whole=not info.unacknowledged and not info.unsent)


def written_through(port: int) -> list[tuple[Connection, Written]]:
    """The connections of this process through ``port`` of ours, and how much was written to
    each. It looks at every descriptor, which takes 2 to 8 µs each."""
    found = (_written_to(fd, port) for fd in _descriptors())
    return [each for each in found if each is not None]


def _written_to(fd: int, port: int) -> tuple[Connection, Written] | None:
    """None: that is no connection through this port, or is gone, or the kernel is too old to
    say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        copy = _copy(fd) if stat.S_ISSOCK(os.fstat(fd).st_mode) else None
        if copy is None:
            return None
        with copy:
            if copy.getsockname()[1] != port:
                return None
            remote = _remote(copy)
            info = tcp_info(copy)
            queued = fcntl.ioctl(copy, termios.TIOCOUTQ, bytes(4))
        if info is not None and info.unsent is not None:
            written = info.acknowledged + int.from_bytes(queued, sys.byteorder)
            return Connection(fd, remote, port), Written(written, info.unsent)
    return None


def own_connections() -> list[Connection]:
    """All TCP connections of this process. It takes some 5 µs for each descriptor."""
    found = map(connection_at, _descriptors())
    return [each for each in found if each is not None]


def _remote(connection: socket.socket) -> tuple[str, int]:
    """Host and port at the other end.

    Raises:
        OSError: it is not connected (any more), or no connection of TCP.
    """
    place = connection.getpeername()
    if not isinstance(place, tuple):
        raise OSError("no connection of TCP")
    return written(str(place[0])), place[1]


def _descriptors() -> list[int]:
    """Those of this process; none where the system does not tell."""
    try:
        return [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    except OSError:
        return []


def _copy(fd: int) -> socket.socket | None:
    """A copy of a descriptor as a socket, which the caller closes; None when it is none
    any more: libzmq may have closed it, and its number may be of something else."""
    try:
        copy = os.dup(fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
