"""The systems that ours is compared with: what is said of them, and a short run of each
that is installed."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from pubsub_perf.bench import systems
from pubsub_perf.bench.runner import Cell, run_cell
from pubsub_perf.bench.systems import peers
from pubsub_perf.bench.systems.peers import PEERS

MODES = [
    pytest.param(name, brokered, id=f"{name}-{'brokered' if brokered else 'direct'}")
    for name, peer in PEERS.items()
    for brokered in (False, True)
    if (peer.brokered if brokered else peer.direct)
]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(peers, "which", lambda program: None)


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2")
    monkeypatch.setattr(peers, "which", lambda program: f"/somewhere/{program}")


@pytest.mark.parametrize("name", PEERS)
def test_the_registry_says_everything_about_a_peer(name: str) -> None:
    peer = PEERS[name]

    assert systems.MODULES[name] == peer.module
    assert peer.title
    assert peer.packages
    assert peer.settings
    assert peer.gives
    assert peer.direct or peer.brokered
    assert (peer.debian is None) == (not peer.program)


@pytest.mark.parametrize("name", PEERS)
def test_a_peers_module_has_all_that_a_system_has(name: str, tmp_path: Path) -> None:
    system = systems.load(name)

    assert "broker" in system.port_names()
    assert callable(system.publish)
    assert callable(system.subscribe)
    if PEERS[name].direct:
        ports = dict.fromkeys(system.port_names(), 1)
        assert system.broker(ports, brokered=False, folder=tmp_path) is None


def test_no_peer_is_imported_before_it_runs() -> None:
    # In a process of its own: other tests may have run a peer in this one.
    import subprocess

    libraries = {"nats", "uvloop", "paho", "redis", "zenoh"}
    code = (
        "import sys; from pubsub_perf.bench import systems\n"
        "for name in systems.MODULES: systems.load(name).unavailable(brokered=True)\n"
        f"print(sorted({libraries!r} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == "[]"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("name", PEERS)
def test_what_is_missing_is_named_with_the_command(name: str, brokered: bool) -> None:
    peer = PEERS[name]

    reason = systems.load(name).unavailable(brokered=brokered)

    assert reason is not None
    assert "\n" not in reason
    assert f"python -m pip install {' '.join(peer.packages)}" in reason
    assert (f"apt-get install {peer.debian}" in reason) == (peer.debian is not None)


@pytest.mark.usefixtures("all_installed")
@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("name", PEERS)
def test_a_way_that_a_peer_does_not_have_is_a_reason(name: str, brokered: bool) -> None:
    peer = PEERS[name]

    reason = systems.load(name).unavailable(brokered=brokered)

    assert (reason is None) == (peer.brokered if brokered else peer.direct)
    if reason is not None:
        assert f"no {'brokered' if brokered else 'direct'} mode" in reason


def test_only_the_broker_missing_names_only_the_debian_package(
    monkeypatch: pytest.MonkeyPatch, all_installed: None
) -> None:
    monkeypatch.setattr(peers, "which", lambda program: None)

    reason = PEERS["nats"].unavailable(brokered=True)

    assert reason == "NATS needs nats-server: apt-get install nats-server"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", PEERS)
def test_the_version_of_nothing_is_empty(name: str) -> None:
    assert PEERS[name].version() == ""


def needs(name: str, brokered: bool) -> None:
    reason = systems.load(name).unavailable(brokered=brokered)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.integration
@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_short_run_of_a_peer_loses_nothing(name: str, brokered: bool) -> None:
    needs(name, brokered)

    figures = run_cell(name, Cell("throughput", 256, 2, brokered=brokered), 0.3)

    assert figures.lost == 0
    assert figures.received == 2 * figures.sent > 0
    assert figures.rate > 0


@pytest.mark.integration
@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_peer_at_a_steady_rate_has_latencies(name: str, brokered: bool) -> None:
    needs(name, brokered)

    figures = run_cell(name, Cell("latency", 64, 2, brokered=brokered, rate=500), 0.2)

    assert figures.lost == 0
    assert figures.sent == 100
    assert figures.p50_us is not None
    assert figures.p99_us is not None
    # A stamp on another clock would be off by far more.
    assert 0 < figures.p50_us <= figures.p99_us < 1_000_000


@pytest.mark.integration
@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_peer_tells_its_versions(name: str, brokered: bool) -> None:
    needs(name, brokered)

    said = PEERS[name].version()

    assert all(package in said for package in PEERS[name].packages)
    assert "\n" not in said
    assert "?" not in said
    assert said.startswith(PEERS[name].program[:1] or PEERS[name].packages[:1])
