"""What the kernel tells of a connection, old kernels too."""

from __future__ import annotations

import socket
import sys

import pytest

from pubsub_common.net.tcp_info import ConnectionInfo, TcpInfo, parse, tcp_info


def answer(size: int) -> bytes:
    whole = bytearray(148)
    for offset, value, width in (
        *((24, 3, 4), (44, 2000, 4), (52, 1500, 4)),
        *((120, 70_000, 8), (128, 90_000, 8), (144, 11, 4)),
    ):
        whole[offset : offset + width] = value.to_bytes(width, sys.byteorder)
    return bytes(whole[:size])


def test_each_field_is_where_the_kernel_has_it() -> None:
    expected = TcpInfo(
        received=90_000,
        idle_s=1.5,
        acknowledged=70_000,
        unacknowledged=3,
        unsent=11,
    )
    assert parse(answer(148)) == expected


@pytest.mark.parametrize("size", [136, 147])
def test_kernels_before_4_6_do_not_tell_of_unsent_bytes(size: int) -> None:
    info = parse(answer(size))

    assert info is not None
    assert (info.received, info.unsent) == (90_000, None)


@pytest.mark.parametrize("size", [0, 104, 135])
def test_older_ones_tell_nothing(size: int) -> None:
    assert parse(answer(size)) is None


def test_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        ours.sendall(b"12345")
        assert theirs.recv(5, socket.MSG_WAITALL) == b"12345"

        asked = ConnectionInfo(theirs.fileno())
        info = asked.read()
        asked.release()

        assert info is not None
        assert info.received == 5
        assert info.unsent == 0
        # Still open.
        assert theirs.getsockname()


def test_what_is_no_connection_tells_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        asked = ConnectionInfo(one.fileno())
        assert asked.read() is None
        asked.release()
        with pytest.raises(OSError, match=r"\d"):
            tcp_info(one)
