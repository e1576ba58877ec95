"""What the pre-flight checks of Mininet hosts read from programs' output."""

from __future__ import annotations

import pytest

from pubsub_perf.hosts import mininet_compat
from pubsub_perf.hosts.interface import HostError, Traffic
from pubsub_perf.hosts.link_checks import (
    bucket_bytes,
    check_delay,
    parse_loss_percent,
    parse_pings,
    parse_rate_mbit,
)
from pubsub_perf.hosts.mininet import MininetHosts
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Load

PINGS = """\
10.0.0.2 rtt min/avg/max/mdev = 0.011/0.025/0.040/0.014 ms
10.0.0.3
10.0.0.40 rtt min/avg/max/mdev = 41.500/42.000/42.500/0.5 ms, pipe 2
"""


def test_hosts_that_answer_have_their_best_round_trip() -> None:
    assert parse_pings(PINGS) == {"10.0.0.2": 0.011, "10.0.0.40": 41.5}


@pytest.mark.parametrize(
    ("shown", "rate"),
    [
        ("class htb 5:1 root prio 0 rate 5Mbit ceil 5Mbit burst 15Kb", 5.0),
        ("class htb 5:1 root leaf 10: prio 0 rate 500Kbit ceil 500Kbit", 0.5),
        ("class htb 5:1 root prio 0 rate 1Gbit ceil 1Gbit", 1000.0),
        ("", None),
        ("class fq_codel :1 parent none", None),
    ],
)
def test_the_rate_of_a_traffic_class_is_read(shown: str, rate: float | None) -> None:
    assert parse_rate_mbit(shown) == rate


@pytest.mark.parametrize(
    ("shown", "loss"),
    [
        ("qdisc netem 10: root refcnt 2 limit 1000 delay 5ms  1ms loss 1%", 1.0),
        ("qdisc netem 10: parent 5:1 limit 1000 loss 0.25%", 0.25),
        ("qdisc netem 10: root limit 1000 delay 5ms", None),
        ("", None),
    ],
)
def test_the_loss_of_a_queueing_discipline_is_read(
    shown: str, loss: float | None
) -> None:
    assert parse_loss_percent(shown) == loss


@pytest.mark.parametrize(
    ("rate_mbit", "size"), [(5, 125), (100, 2500), (1000, 25_000), (0.001, 1)]
)
def test_a_bucket_holds_what_the_rate_brings_in_200_us(
    rate_mbit: float, size: int
) -> None:
    assert bucket_bytes(rate_mbit) == size


def test_a_delay_that_is_not_in_force_is_found() -> None:
    check_delay(10, {"10.0.0.2": 40.1, "10.0.0.3": 80.0})
    with pytest.raises(HostError, match=r"10\.0\.0\.3 answers within 0\.02 ms"):
        check_delay(10, {"10.0.0.2": 40.1, "10.0.0.3": 0.02})


def test_traffic_is_told_by_difference() -> None:
    before = Traffic(tx_bytes=100, rx_bytes=10, tx_packets=5, rx_packets=1)
    after = Traffic(tx_bytes=350, rx_bytes=30, tx_packets=9, rx_packets=2)
    assert after.since(before) == {
        "tx_bytes": 250,
        "rx_bytes": 20,
        "tx_packets": 4,
        "rx_packets": 1,
    }


def test_links_are_given_delay_jitter_and_loss_as_the_kernel_takes_them() -> None:
    load = Load(bandwidth_mbit=5, delay_ms=2.5, jitter_ms=0.5, loss_percent=0.1)
    hosts = MininetHosts(topologies.single_switch(3), load)
    options = hosts.link_options(shaped=True)
    assert options.pop("bw") == 5
    mininet_compat.prepare()
    from mininet.link import TCIntf

    commands, _ = TCIntf.delayCmds("root", **options)
    (words,) = [command.split() for command in commands]
    assert words[words.index("netem") :] == [
        *("netem", "delay", "2.5ms", "0.5ms", "loss", "0.10000")
    ]
    assert "bw" not in hosts.link_options(shaped=False)
    assert MininetHosts(topologies.single_switch(3), Load()).link_options(
        shaped=True
    ) == ({})
