"""The systems of the comparison: their description, and a short run of each installed
one."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from peer_systems import __main__ as main
from peer_systems import registry, throughput_figure
from peer_systems.comparison import row_of, standing
from peer_systems.registry import PEER_SYSTEMS, load
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.workload.scenario import Figures, Scenario

MODES = [
    pytest.param(name, brokered, id=f"{name}-{'brokered' if brokered else 'direct'}")
    for name, peer in PEER_SYSTEMS.items()
    for brokered in (False, True)
    if (peer.brokered if brokered else peer.direct)
]


@pytest.fixture(autouse=True)
def found_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(registry.__file__).parent.parent))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(shutil, "which", lambda program, path: None)


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2")
    monkeypatch.setattr(shutil, "which", lambda program, path: f"/somewhere/{program}")


@pytest.mark.parametrize("name", PEER_SYSTEMS)
def test_the_registry_says_everything_about_a_peer(name: str) -> None:
    peer = PEER_SYSTEMS[name]

    assert peer.module.startswith("peer_systems.")
    assert peer.title
    assert peer.packages
    assert peer.settings
    assert peer.gives
    assert peer.direct or peer.brokered
    assert (peer.debian is None) == (not peer.program)


@pytest.mark.parametrize("name", PEER_SYSTEMS)
def test_a_peers_module_has_all_that_a_system_has(name: str, tmp_path: Path) -> None:
    system = load(name)

    assert "broker" in system.port_names()
    assert callable(system.publish)
    assert callable(system.subscribe)
    if PEER_SYSTEMS[name].direct:
        ports = dict.fromkeys(system.port_names(), 1)
        assert system.broker(ports, Scenario("throughput", 16), tmp_path) is None


def test_no_peer_is_imported_before_it_runs() -> None:
    # In a process of its own: other tests may have run a peer in this one.
    import subprocess

    libraries = {"nats", "uvloop", "paho", "redis", "zenoh"}
    code = (
        "import sys; from peer_systems.registry import PEER_SYSTEMS, load\n"
        "for name in PEER_SYSTEMS: load(name).unavailable(brokered=True)\n"
        f"print(sorted({libraries!r} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == "[]"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("name", PEER_SYSTEMS)
def test_what_is_missing_is_named_with_the_command(name: str, brokered: bool) -> None:
    peer = PEER_SYSTEMS[name]

    reason = load(name).unavailable(brokered=brokered)

    assert reason is not None
    assert "\n" not in reason
    assert f"python -m pip install {' '.join(peer.packages)}" in reason
    assert (f"apt-get install {peer.debian}" in reason) == (peer.debian is not None)


@pytest.mark.usefixtures("all_installed")
@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("name", PEER_SYSTEMS)
def test_a_route_that_a_peer_does_not_have_is_a_reason(
    name: str, brokered: bool
) -> None:
    peer = PEER_SYSTEMS[name]

    reason = load(name).unavailable(brokered=brokered)

    assert (reason is None) == (peer.brokered if brokered else peer.direct)
    if reason is not None:
        assert f"no {'brokered' if brokered else 'direct'} mode" in reason


def test_only_the_broker_missing_names_only_the_debian_package(
    monkeypatch: pytest.MonkeyPatch, all_installed: None
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, path: None)

    reason = PEER_SYSTEMS["nats"].unavailable(brokered=True)

    assert reason == "NATS needs nats-server: apt-get install nats-server"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", PEER_SYSTEMS)
def test_the_version_of_nothing_is_empty(name: str) -> None:
    assert PEER_SYSTEMS[name].version() == ""


def targets(name: str, brokered: bool) -> None:
    reason = load(name).unavailable(brokered=brokered)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_short_run_of_a_peer_loses_nothing(name: str, brokered: bool) -> None:
    targets(name, brokered)

    figures = run_scenario(
        PEER_SYSTEMS[name].module,
        Scenario("throughput", 256, 2, brokered=brokered),
        0.3,
    )

    assert figures.lost == 0
    assert figures.received == 2 * figures.sent > 0
    assert figures.rate > 0


@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_peer_at_a_steady_rate_has_latencies(name: str, brokered: bool) -> None:
    targets(name, brokered)

    figures = run_scenario(
        PEER_SYSTEMS[name].module,
        Scenario("latency", 64, 2, brokered=brokered, rate=500),
        0.2,
    )

    assert figures.lost == 0
    assert figures.sent == 100
    assert figures.p50_us is not None
    assert figures.p99_us is not None
    # A stamp on another clock would be off by far more.
    assert 0 < figures.p50_us <= figures.p99_us < 1_000_000


@pytest.mark.parametrize(("name", "brokered"), MODES)
def test_a_peer_tells_its_versions(name: str, brokered: bool) -> None:
    targets(name, brokered)

    said = PEER_SYSTEMS[name].version()

    assert all(package in said for package in PEER_SYSTEMS[name].packages)
    assert "\n" not in said
    assert "?" not in said
    assert said.startswith(
        PEER_SYSTEMS[name].program[:1] or PEER_SYSTEMS[name].packages[:1]
    )


def rate(value: float) -> list[Figures]:
    """One run with this rate."""
    return [
        Figures(
            rate=value,
            sent=100,
            received=100,
            lost=0,
            cpu_s_per_million=2.0,
            p50_us=10.0,
            p99_us=20.0,
        )
    ]


def peers_document() -> dict[str, Any]:
    row = {
        "measure": "throughput",
        "brokered": False,
        "payload_bytes": 16,
        "subscribers": 1,
        "values": {"pubsub": 1e6, "raw": 1.1e6, "nats": 3e5},
    }
    return {"rows": [row, row | {"brokered": True}, row | {"payload_bytes": 1024}]}


def test_the_peers_can_be_drawn(tmp_path: Path) -> None:
    file, picture = tmp_path / "peers.json", tmp_path / "peers.png"
    file.write_text(json.dumps(peers_document()))

    assert main.main([f"--draw={file}", f"--out={picture}"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_the_figure_lacks_is_explained() -> None:
    document = peers_document() | {"missing": {"redis": "not installed"}}
    document["rows"][2]["values"] = {"pubsub": 1e5, "raw": 1e5}
    figure = throughput_figure.drawing_of(document).figure
    text = " ".join(each.get_text() for each in figure.texts).replace("\n", " ")
    assert "Without redis: not installed." in text
    assert "Direct there is no mark of nats at 1,024 B, which was not measured." in text
    assert "half of it to each side" in text


def test_systems_are_told_apart_without_colour() -> None:
    looks = throughput_figure.LOOKS.values()
    assert len({look.marker for look in looks}) == len(looks)


@pytest.mark.parametrize(
    ("document", "words", "said"),
    [
        ({"rows": []}, ["--out=x.png"], "no throughput of peers"),
        ({}, ["--out=x.png"], "was not written by --out"),
        ({"rows": []}, [], "--draw needs --out"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    document: dict[str, Any],
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "peers.json"
    file.write_text(json.dumps(document))

    assert main.main([f"--draw={file}", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_lead_that_noise_could_make_is_a_tie() -> None:
    assert [standing(lead) for lead in (1.31, 1.29, 0.78, 0.76)] == [
        "ahead",
        "tie",
        "tie",
        "behind",
    ]
    scenario = Scenario("throughput", 16)
    row = row_of(
        scenario, "rate", {"pubsub": rate(300), "nats": rate(200), "raw": rate(1)}
    )
    assert (row.best_peer, row.lead, row.standing) == ("nats", 1.5, "ahead")
