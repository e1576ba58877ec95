"""The command lines of members of etcd."""

from __future__ import annotations

from pathlib import Path

import pytest

from pubsub_perf.hosts import etcd_program
from pubsub_perf.hosts.etcd_program import EtcdMember

FIRST = EtcdMember("n0", "10.0.0.1", Path("/data/n0"))
SECOND = EtcdMember("n1", "10.0.0.2", Path("/data/n1"), 4001, 4002)


def test_one_member_is_a_cluster_of_its_own() -> None:
    words = etcd_program.command(FIRST)
    assert words[0] == "etcd"
    assert "--initial-cluster=n0=http://10.0.0.1:2380" in words
    assert "--listen-client-urls=http://10.0.0.1:2379" in words
    assert "--data-dir=/data/n0" in words


def test_each_member_is_told_all() -> None:
    cluster = "--initial-cluster=n0=http://10.0.0.1:2380,n1=http://10.0.0.2:4002"
    for member in (FIRST, SECOND):
        assert cluster in etcd_program.command(member, (FIRST, SECOND))
    assert "--listen-client-urls=http://10.0.0.2:4001" in etcd_program.command(SECOND)


def test_brokers_are_told_all_members() -> None:
    url = etcd_program.registry_url((FIRST, SECOND))
    assert url == "etcd://10.0.0.1:2379,10.0.0.2:4001"


def test_where_there_is_none_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_program, "_SBIN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = etcd_program.unavailable()
    assert reason is not None
    assert "apt-get install etcd-server" in reason
    program = tmp_path / "etcd"
    program.write_text("")
    program.chmod(0o755)
    assert etcd_program.unavailable() is None
