"""What the kernel does with frames at the emulated switches."""

from __future__ import annotations

from pathlib import Path

from pubsub_perf.hosts.kernel_features import keep_frames_from_netfilter

TABLES = ("arptables", "ip6tables", "iptables")


def test_bridges_switch_without_the_firewall(tmp_path: Path) -> None:
    for table in TABLES:
        (tmp_path / f"bridge-nf-call-{table}").write_text("1\n")
    assert keep_frames_from_netfilter(tmp_path) is False
    for table in TABLES:
        assert (tmp_path / f"bridge-nf-call-{table}").read_text() == "0\n"


def test_a_kernel_without_hooks_for_bridges(tmp_path: Path) -> None:
    assert keep_frames_from_netfilter(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
