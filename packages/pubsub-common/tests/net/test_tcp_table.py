"""The text of /proc/net/tcp."""

from __future__ import annotations

import ipaddress
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ipv6 import needs_ipv6

from pubsub_common.net.sockets import tcp_table
from pubsub_common.net.tcp_table import (
    address_of,
    connections,
    connections_of,
    slowest_reader,
    still_open,
    unsent_bytes,
)


def printed(host: str) -> str:
    """An address as the kernel of this machine prints it."""
    packed = ipaddress.IPv4Address(host).packed
    return f"{int.from_bytes(packed, sys.byteorder):08X}"


HERE, THERE = printed("127.0.0.1"), printed("10.0.0.7")
TABLE = f"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt
   0: {HERE}:15B4 00000000:0000 0A 00000000:00000000 00:00000000 00000000
   1: {HERE}:15B4 {HERE}:C001 01 00000400:00000000 00:00000000 00000000
   2: {HERE}:15B4 {THERE}:C002 08 00000001:00000007 00:00000000 00000000
   3: {HERE}:C001 {HERE}:15B4 01 00000100:00000000 00:00000000 00000000
   4: {HERE}:C003 {THERE}:0050 02 00000000:00000000 00:00000000 00000000
   5: {HERE}:C004 {THERE}:0051 06 00000000:00000000 00:00000000 00000000
   6: garbage

"""


def test_what_the_kernel_has_not_sent_is_summed_over_a_ports_connections() -> None:
    assert unsent_bytes(0x15B4, TABLE) == 0x401
    assert unsent_bytes(0xC001, TABLE) == 0x100
    assert unsent_bytes(1, TABLE) == 0


def test_listening_and_broken_rows_are_not_connections() -> None:
    assert len(list(connections(TABLE))) == 5
    assert [row.remote for row in connections_of(0x15B4, TABLE)] == [
        f"{HERE}:C001",
        f"{THERE}:C002",
    ]
    assert list(connections("")) == []


def test_the_peer_with_most_unsent_bytes_reads_slowest() -> None:
    assert slowest_reader(0x15B4, TABLE) == ("127.0.0.1:49153", 0x400)
    assert slowest_reader(0xC001, TABLE) == ("127.0.0.1:5556", 0x100)


def test_nobody_is_slow_when_all_is_sent() -> None:
    assert slowest_reader(0xC003, TABLE) is None
    assert slowest_reader(1, TABLE) is None
    assert slowest_reader(1, "") is None


def test_only_open_connections_and_those_not_read_to_the_end_are_talking() -> None:
    asked = [
        "127.0.0.1:5556",
        "10.0.0.7:49154",
        "10.0.0.7:80",
        "10.0.0.7:81",
        "1.2.3.4:5",
    ]

    assert still_open(asked, TABLE) == {"127.0.0.1:5556", "10.0.0.7:49154"}
    assert still_open([], TABLE) == set()


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_addresses_are_read_as_they_are_printed(
    host: ipaddress.IPv4Address, port: int
) -> None:
    text = f"{printed(str(host))}:{port:04X}"

    assert address_of(text) == f"{host}:{port}"
    table = f"header\n 0: {text} {text} 01 00000000:00000000\n"
    assert still_open([f"{host}:{port}"], table) == {f"{host}:{port}"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/net/tcp")
def test_the_kernel_prints_it_like_that() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        host, port = listener.getsockname()
        with socket.create_connection((host, port)) as here:
            there, _ = listener.accept()
            assert still_open([f"{host}:{port}"], tcp_table() or "") == {
                f"{host}:{port}"
            }
            there.close()
            assert here.recv(1) == b""  # its end is here, and we have not closed
            assert still_open([f"{host}:{port}"], tcp_table() or "") == {
                f"{host}:{port}"
            }
        assert still_open([f"{host}:{port}"], tcp_table() or "") == set()


def test_an_ipv6_address_is_printed_in_words_of_four_bytes() -> None:
    local = "00000000000000000000000001000000:15B3"
    assert sys.byteorder == "big" or address_of(local) == "[::1]:5555"
    table = f"   0: {local} {local} 01 00000007:00000000 00:00000000 00000000\n"
    address = address_of(local)
    assert still_open([address, "10.0.0.1:5555"], table) == {address}
    assert slowest_reader(0x15B3, table) == (address, 7)


@needs_ipv6
def test_connections_of_ipv6_are_in_the_table_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("::1", port)):
            accepted, _ = server.accept()
            with accepted:
                table = tcp_table()
                assert table is not None
                address = f"[::1]:{port}"
                assert still_open([address], table) == {address}
