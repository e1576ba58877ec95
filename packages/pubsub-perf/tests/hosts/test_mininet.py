"""Sweeps on real Mininet hosts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from pubsub_common.testing import wait_for
from pubsub_perf import CentralizedPerformanceTest, DecentralizedPerformanceTest
from pubsub_perf.hosts import HostError

SWEEP = [sys.executable, "-m", "pubsub_perf", "sweep", "--hosts=mininet"]

LONG = ["--topology=tree", "--depth=2", "--fanout=3", "--events=100000"]


def sweep(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SWEEP, f"--out={out}", *words], capture_output=True, text=True, timeout=110
    )


def record(out: Path, model: str, network: str) -> dict[str, Any]:
    path = out / "data" / model / network / "cell.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def links() -> set[str]:
    """This machine's interfaces; a sweep could leave bridges and veths behind."""
    return {path.name for path in Path("/sys/class/net").iterdir()}


def pid_namespaces(folder: Path | None = None) -> set[str]:
    """The PID namespaces of all processes, or of those that run below ``folder``. A
    namespace, and all that was made in it, is gone when no process is in it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if folder is None or (process / "cwd").readlink().is_relative_to(folder):
                found.add(str((process / "ns" / "pid").readlink()))
        except OSError:
            continue  # it has ended
    return found


def test_both_models_on_a_tree_and_a_switch(tmp_path: Path) -> None:
    done = sweep(tmp_path, "--preset=smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    for model in ("centralized", "decentralized"):
        for network in ("single-switch-4hosts", "tree-d2f2-4hosts"):
            cell = record(tmp_path, model, network)
            assert cell["outcome"] == "ok"
            assert (cell["expected"], cell["lost"]) == (
                30,
                0,
            )  # 10 and 5 warm-up, twice
            assert cell["hosts"]["kind"] == "mininet"
            assert cell["hosts"]["broker"] == "10.0.0.1"
            # Frames pass no firewall in the switches.
            assert not cell["hosts"]["bridge_netfilter"]
            data = tmp_path / "data" / model / network / "subscriber-0.csv"
            assert "10.0.0.2:5556,A," in data.read_text()


def test_a_secure_cell_of_each_model(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        *("--topology=tree", "--depth=2", "--fanout=2", "--secure"),
        *("--events=10", "--interval=0.05"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for model in ("centralized", "decentralized"):
        cell = record(tmp_path, model, "tree-d2f2-4hosts")
        assert (cell["hosts"]["kind"], cell["parameters"]["secure"]) == (
            "mininet",
            True,
        )
        assert (cell["received"], cell["lost"]) == (30, 0)
        assert "--secure" in cell["commands"]["broker"]


def test_shaped_links_carry_the_events(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        *("--topology=dumbbell,linear", "--switch-hosts=5", "--bandwidth=5"),
        *("--events=10", "--interval=0.02", "--model=centralized"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for network in ("dumbbell-5hosts", "linear-5hosts"):
        assert record(tmp_path, "centralized", network)["lost"] == 0


def test_a_delay_is_in_force_or_refused(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        *("--topology=single-switch", "--switch-hosts=3", "--delay=20"),
        *("--events=5", "--interval=0.05", "--model=decentralized"),
    )
    if done.returncode == 0:  # a kernel with netem: two links from host to host
        data = tmp_path / "data" / "decentralized" / "single-switch-3hosts"
        rows = (data / "subscriber-0.csv").read_text().splitlines()[1:]
        assert min(float(row.split(",")[2]) for row in rows) >= 0.040
    else:
        assert done.returncode == 2
        assert "a delay of 20 ms cannot be set" in done.stderr
        assert "netem" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "data").exists(), "nothing was to be run"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_sweep_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    before = links()
    process = subprocess.Popen(
        [*SWEEP, *LONG, f"--out={tmp_path}"], stderr=subprocess.PIPE
    )
    folder = tmp_path / "data" / "centralized" / "tree-d2f3-9hosts"
    try:
        wait_for((folder / "logs" / "publisher-3.log").exists, "the start of the roles")
        wait_for(lambda: bool(pid_namespaces(tmp_path)), "a role")
        (namespace,) = pid_namespaces(tmp_path)
        assert namespace != str(Path("/proc/self/ns/pid").readlink())
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    # The kernel removes namespaces in the background.
    wait_for(lambda: namespace not in pid_namespaces(), "the end of all processes")
    assert links() == before
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == expected[number]
    assert b"Traceback" not in said
    record = json.loads((folder / "cell.json").read_text())
    assert record["outcome"] == "started", "the cell was not finished"


def in_namespaces(what: str) -> Any:
    script = ROOT / "tests" / "support" / "in_namespaces.py"
    done = subprocess.run(
        [sys.executable, str(script), what], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_error_of_clocks_across_hosts_is_bounded_and_contains_the_truth() -> None:
    found = in_namespaces("clocks")
    assert found["code"] == 0, found["log"]
    low_ns, high_ns = found["report"]["latency_error_ns"]
    # One kernel, so the true error is 0; and the bound is not too wide.
    assert -1_000_000_000 < low_ns < 0 < high_ns < 1_000_000_000
    assert "true latency: -" in found["log"]


def test_hosts_of_ipv4_and_of_ipv6_exchange_events_through_a_secure_broker() -> None:
    found = in_namespaces("ipv6")
    assert found["addresses"] == ["10.0.0.1", "10.0.0.2", "[fd00::3]"]
    assert found["centralized"] == ["10.0.0.2:5556,A"], found["log"]
    assert found["decentralized"] == ["[fd00::2]:5556,A"], found["log"]


def test_a_router_that_forwards_ports_may_be_between() -> None:
    found = in_namespaces("nat")
    assert found["broker inside"] == ["10.1.0.3:5556,A"], found["log"]
    assert found["broker outside"] == ["192.0.2.1:7000,A"], found["log"]
    assert " at 192.0.2.2 from 10.1.0.1 joined: A" in found["log"]


def test_roles_find_their_own_address_on_mininet_hosts() -> None:
    found = in_namespaces("addresses")
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        assert found[address] == [address, address, address, "127.0.0.9"]
    # In the root namespace of the machine, neither Docker's bridge nor a Mininet
    # interface is taken for the machine's address.
    assert found["root"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("test_class", "model"),
    [
        (CentralizedPerformanceTest, "centralized"),
        (DecentralizedPerformanceTest, "decentralized"),
    ],
)
def test_the_seeds_performance_test_classes(
    tmp_path: Path,
    test_class: type[CentralizedPerformanceTest] | type[DecentralizedPerformanceTest],
    model: str,
) -> None:
    test = test_class(num_events=5, event_interval=0.02, out=tmp_path)
    test.setWaitFactor(factor=4)
    cell = test.test_tree_topology(depth=2, fanout=2)
    assert (cell["model"], cell["network"]) == (model, "tree-d2f2-4hosts")
    assert cell["parameters"]["wait_factor"] == 4
    assert (cell["received"], cell["lost"]) == (20, 0)
    test.secure = True
    cell = test.test_single_switch_topology(num_hosts=3)
    assert (cell["network"], cell["received"]) == ("single-switch-3hosts", 10)
    assert cell["parameters"]["secure"] is True


def test_a_failed_cell_is_an_exception_of_the_class(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    test = CentralizedPerformanceTest(num_events=5, event_interval=0.02, out=tmp_path)
    with pytest.raises(HostError, match="single-switch-3hosts failed"):
        test.test_single_switch_topology(3)
