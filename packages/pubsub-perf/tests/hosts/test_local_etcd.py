"""Servers of etcd for trying out: they are there in the block, and gone with it."""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest
from support.etcd_servers import needs_etcd

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_perf.hosts import etcd_program
from pubsub_perf.hosts import local_etcd as module
from pubsub_perf.hosts.local_etcd import local_etcd


@pytest.mark.parametrize("count", [1, 3])
def test_they_answer_in_the_block_and_are_gone_after_it(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_etcd()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with local_etcd(count) as etcd:
        assert len(etcd.members) == count
        for member in etcd.members:
            connection = http.client.HTTPConnection("127.0.0.1", member.client_port)
            connection.request("POST", "/v3/cluster/member/list", b"{}")
            answer = connection.getresponse().read().decode()
            connection.close()
            assert answer.count('"name"') == count
        assert list(tmp_path.iterdir())

    assert all(process.poll() is not None for process in etcd.processes)
    assert not list(tmp_path.iterdir())


def test_who_has_no_etcd_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(etcd_program, "_SBIN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install etcd-server"), local_etcd():
        pass


def test_an_etcd_that_does_not_start_is_an_error_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\necho first\necho no space left\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.raises(PubSubError, match="etcd does not start: no space left"),
        local_etcd(),
    ):
        pass


def test_who_is_interrupted_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "_answers", lambda member: False)
    with local_etcd(interrupted=lambda: True) as etcd:
        assert etcd.processes[0].poll() is None
    assert etcd.processes[0].poll() is not None
