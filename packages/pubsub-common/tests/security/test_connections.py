"""TCP connections by their descriptors, with numbers that may have been reused."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ipv6 import needs_ipv6
from support.leftovers import Leftovers

from pubsub_common.protocol.endpoints import written
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_at,
    own_connections,
)

_AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def pair(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with (
        socket.create_server((request.param, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as near,
    ):
        far, _ = server.accept()
        with far:
            yield near, far


def test_a_connection_is_found_and_closed(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    left = Leftovers()
    connection = connection_at(near.fileno())

    host, port = far.getsockname()[:2]
    remote = written(host), port
    assert connection == Connection(near.fileno(), remote, near.getsockname()[1])
    assert close_connection(connection)
    assert far.recv(1) == b""
    assert not left.files()


def test_another_connection_with_its_number_is_left_alone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    assert not close_connection(Connection(near.fileno(), ("127.0.0.1", 1), 5))
    near.send(b"x")
    assert far.recv(1) == b"x"


def test_what_is_no_socket_is_none_and_leaves_no_descriptor() -> None:
    read_fd, write_fd = os.pipe()
    try:
        left = Leftovers()
        for _ in range(10):
            assert connection_at(read_fd) is None
            assert not close_connection(Connection(read_fd, ("127.0.0.1", 1), 5))
        assert not left.files()
    finally:
        os.close(read_fd)
        os.close(write_fd)
    assert connection_at(read_fd) is None
    assert not close_connection(Connection(read_fd, ("127.0.0.1", 1), 5))


def test_a_look_at_a_file_releases_none_of_its_locks(tmp_path: Path) -> None:
    with (tmp_path / "locked").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        own_connections()
        assert connection_at(file.fileno()) is None
        # Another process sees the lock; this one could take it again.
        taken = f"import fcntl; fcntl.lockf(open({file.name!r}, 'a'), {_AT_ONCE})"
        run = subprocess.run([sys.executable, "-c", taken], stderr=subprocess.DEVNULL)
    assert run.returncode != 0


def test_a_socket_without_a_peer_is_no_connection() -> None:
    with socket.socket() as alone:
        assert connection_at(alone.fileno()) is None
    local, other = socket.socketpair()
    with local, other:
        assert connection_at(local.fileno()) is None
