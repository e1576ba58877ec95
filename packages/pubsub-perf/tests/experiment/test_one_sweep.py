"""One sweep a machine, and roles that are at their own sweep's broker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pubsub_perf import cli
from pubsub_perf.experiment.broker_check import (
    Clients,
    check_clients,
    clients_of,
    is_listening,
)
from pubsub_perf.experiment.one_sweep import LOCK_VARIABLE, alone
from pubsub_perf.hosts import HostError
from pubsub_perf.hosts.local import LocalHosts
from pubsub_perf.hosts.machine_lock import AlreadyHeld, held
from pubsub_perf.plan import topologies

NETWORK = topologies.single_switch(4)


@pytest.fixture
def name() -> str:
    return f"pubsub-perf-test-{os.getpid()}"


@pytest.mark.parametrize("abstract", [True, False])
def test_a_lock_is_held_once_and_free_afterwards(name: str, abstract: bool) -> None:
    with held(name, abstract=abstract):
        with (
            pytest.raises(AlreadyHeld) as refused,
            held(name, abstract=abstract),
        ):
            pass
        assert refused.value.pid == (os.getpid() if abstract else None)
    with held(name, abstract=abstract):
        pass


HOLD = """
import subprocess, sys
from pubsub_perf.hosts.machine_lock import held
with held(sys.argv[1], abstract=sys.argv[2] == "True"):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("abstract", [True, False])
def test_a_lock_ends_with_its_process_though_its_children_go_on(
    name: str, abstract: bool
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, name, str(abstract)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        with pytest.raises(AlreadyHeld), held(name, abstract=abstract):
            pass
        process.kill()
        process.communicate()
        os.kill(child, 0)  # it still runs
        with held(name, abstract=abstract):
            pass
    finally:
        process.kill()
        process.communicate()
        os.kill(child, signal.SIGKILL)


def test_a_second_sweep_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LOCK_VARIABLE, f"test-{os.getpid()}")
    out = tmp_path / "out"
    with alone():
        assert cli.main(["sweep", "--hosts=local", f"--out={out}"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "pubsub-perf: another sweep is running on this machine "
        f"(process {os.getpid()}); "
    )
    assert not out.exists()


def test_local_hosts_of_two_programs_have_different_addresses() -> None:
    with LocalHosts(NETWORK) as first, LocalHosts(NETWORK) as second:
        one, other = (
            {hosts.address(i) for i in range(300)} for hosts in (first, second)
        )
        assert len(one) == len(other) == 300
        assert not one & other


def status(*clients: tuple[str, str]) -> dict[str, Any]:
    return {"clients": [{"role": role, "address": at} for role, at in clients]}


def test_clients_are_told_apart_by_role_and_host() -> None:
    found = clients_of(
        status(
            ("publisher", "127.0.1.2:5556"),
            ("subscriber", "127.0.1.3"),
            ("subscriber", "127.0.1.3"),
        )
    )
    assert found == Clients(
        {("publisher", "127.0.1.2"): 1, ("subscriber", "127.0.1.3"): 2}
    )


@pytest.mark.parametrize(
    ("clients", "reason"),
    [
        (
            [("publisher", "127.0.1.2:5556"), ("subscriber", "127.0.1.9")],
            "has 1 client of another cell: subscriber at 127.0.1.9",
        ),
        ([], "1 client is not at the broker at 127.0.1.1: publisher at 127.0.1.2"),
    ],
)
def test_other_clients_than_the_cells_fail_it(
    clients: list[tuple[str, str]], reason: str
) -> None:
    expected = Clients([("publisher", "127.0.1.2")])
    with pytest.raises(HostError) as failed:
        check_clients(status(*clients), "127.0.1.1", expected)
    assert reason in str(failed.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_socket_of_another_process_is_not_the_brokers() -> None:
    with contextlib.ExitStack() as stack:
        sleeping = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        )
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]

        assert is_listening(os.getpid(), "127.0.0.1", port)
        assert not is_listening(sleeping.pid, "127.0.0.1", port)
        assert not is_listening(os.getpid(), "127.0.0.2", port)
        sleeping.communicate(b"\n")
