"""Compares the output of ``ping`` and ``tc`` with the requested links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pubsub_perf.hosts.interface import HostError

# How late the kernel's timers may be without a shaped link losing some of its rate.
_LATE_S: Final = 0.0002


def parse_pings(text: str) -> dict[str, float]:
    """Address to smallest round trip in ms, of lines like
    ``10.0.0.2 rtt min/avg/max/mdev = 0.011/0.025/0.040/0.014 ms``. Hosts without an
    answer have no such line."""
    found = re.findall(r"^(\S+) rtt \S+ = ([0-9.]+)/", text, re.MULTILINE)
    return {address: float(shortest) for address, shortest in found}


def bucket_bytes(rate_mbit: float) -> int:
    """The size of a shaper's bucket: what its rate brings in `_LATE_S`."""
    return max(1, round(rate_mbit * 1e6 / 8 * _LATE_S))


def parse_rate_mbit(text: str) -> float | None:
    """The rate in what ``tc class show`` prints (``… htb … rate 5Mbit ceil …``)."""
    match = re.search(r"\bhtb\b.*?\brate ([0-9]+(?:\.[0-9]+)?)([KMG]?)bit\b", text)
    if match is None:
        return None
    return float(match[1]) * {"": 1e-6, "K": 1e-3, "M": 1.0, "G": 1e3}[match[2]]


def parse_loss_percent(text: str) -> float | None:
    """The loss in what ``tc qdisc show`` prints (``qdisc netem … delay 5ms loss 1%``)."""
    match = re.search(r"\bnetem\b.*?\bloss ([0-9]+(?:\.[0-9]+)?)%", text)
    return None if match is None else float(match[1])


def check_delay(asked_ms: float, round_trips_ms: Mapping[str, float]) -> None:
    """From host to host there are at least two links, each delayed in both directions.

    Raises:
        HostError: some round trip is shorter than that.
    """
    least_ms = 4 * asked_ms
    for address, found_ms in round_trips_ms.items():
        # netem works in ticks of the kernel's clock, which may be shorter by one.
        if found_ms < 0.95 * least_ms:
            raise HostError(
                f"a delay of {asked_ms:g} ms a link is not in force: {address} answers "
                f"within {found_ms:g} ms, not {least_ms:g} ms"
            )
