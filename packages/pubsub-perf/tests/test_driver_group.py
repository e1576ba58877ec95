"""A group of brokers that the driver starts: what it says, and that all of it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import own_network
from support.etcd_servers import needs_etcd

from pubsub_common.testing import wait_for
from pubsub_perf import driver
from pubsub_perf.hosts import etcd_program

DRIVER = str(Path(sys.executable).with_name("pubsub-driver"))
WAIT_S = 60


def runs(pid: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    return b"etcd" in words or b"pubsub_broker" in words


def end(group: subprocess.Popen[str]) -> None:
    """Kill the driver; its brokers may have its standard error still."""
    group.kill()
    group.wait()
    if group.stderr is not None:
        group.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_brokers_and_their_etcd(number: int) -> None:
    needs_etcd()
    # Its brokers have the default port.
    group = subprocess.Popen(
        [*own_network(), DRIVER, "--broker", "2", "--centralized"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert group.stderr is not None
        said = ""
        while said.count("centralized broker on 127.0.0.") < 2:
            line = group.stderr.readline()
            assert line, said
            said += line
        pids = re.findall(r"process (\d+)", said)
        assert len(pids) == 3
        assert all(map(runs, pids))
        assert "-b 127.0.0.1,127.0.0.2\n" in said
        for broker in ("127.0.0.1", "127.0.0.2"):
            where = f"{broker} pubsub-broker: centralized broker on {broker}:5555\n"
            assert where in said
        group.send_signal(number)
        _, rest = group.communicate(timeout=WAIT_S)
    finally:
        end(group)
    assert group.returncode == 0, said + rest
    assert not any(map(runs, pids))


def test_an_etcd_does_not_outlive_a_driver_that_is_killed() -> None:
    needs_etcd()
    group = subprocess.Popen(
        [*own_network(), DRIVER, "--broker", "2"], stderr=subprocess.PIPE, text=True
    )
    pids: list[str] = []
    try:
        assert group.stderr is not None
        etcd = re.search(r"process (\d+)", group.stderr.readline())
        assert etcd
        brokers = group.stderr.readline()
        pids = re.findall(r"process (\d+)", brokers)
        group.kill()
        wait_for(lambda: not runs(etcd[1]), "etcd has ended")
    finally:
        end(group)
        for pid in filter(runs, pids):
            os.kill(int(pid), signal.SIGKILL)


def test_without_etcd_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(etcd_program, "unavailable", lambda: "etcd is missing; x")
    assert driver.main(["--broker", "2"]) == 2
    assert capsys.readouterr().err == "pubsub-driver: etcd is missing; x\n"
