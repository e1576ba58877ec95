"""Who does not read, from the text of /proc/net/tcp."""

from __future__ import annotations

import sys

from pubsub_broker.stalls import slowest_reader

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"


def host(last: int) -> str:
    """10.0.0.x as the kernel of this machine prints it."""
    return f"{int.from_bytes(bytes([10, 0, 0, last]), sys.byteorder):08X}"


def line(local: str, remote: str, unsent: int, state: str = "01") -> str:
    return (
        f"   0: {local} {remote} {state} {unsent:08X}:00000000 00:00000000 00000000"
        "     0        0 12345 1 0000000000000000 20 4 30 10 -1\n"
    )


PORT = f"{host(1)}:1B58"  # 7000


def test_the_peer_with_most_unsent_bytes_is_found() -> None:
    table = HEADER + "".join(
        [
            line(PORT, f"{host(2)}:0100", 10),
            line(PORT, f"{host(3)}:0101", 2_000_000),
            line(PORT, f"{host(4)}:0102", 300),
        ]
    )

    assert slowest_reader(7000, table) == ("10.0.0.3:257", 2_000_000)


def test_other_ports_and_listening_sockets_do_not_count() -> None:
    table = HEADER + "".join(
        [
            line(f"{host(1)}:1B59", f"{host(2)}:0100", 99),
            line(f"{host(5)}:0100", PORT, 99),
            line(PORT, "00000000:0000", 99, state="0A"),
        ]
    )

    assert slowest_reader(7000, table) is None


def test_nobody_is_slow_when_all_is_sent() -> None:
    assert slowest_reader(7000, HEADER + line(PORT, f"{host(2)}:0100", 0)) is None


def test_an_empty_table_or_a_broken_line_has_nobody() -> None:
    assert slowest_reader(7000, "") is None
    assert slowest_reader(7000, HEADER + "  0: garbage\n\n") is None
