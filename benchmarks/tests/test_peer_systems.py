"""The systems of the comparison: their description, and a short run of each installed
one."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer_systems import __main__ as main
from peer_systems import comparison, figure, registry
from peer_systems.comparison import (
    PEER_BARS,
    ZENOH_BYTES,
    lines,
    missing,
)
from peer_systems.registry import PEER_SYSTEMS, load
from pubsub_perf.bench.in_turn.bars import Bar
from pubsub_perf.bench.in_turn.cells import LINES, Cell, cells
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.workload.scenario import Scenario

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


def spread(value: float) -> dict[str, float]:
    return {"median": value, "lowest": 0.9 * value, "highest": 1.2 * value}


def row(cell: Cell, metric: str, **ratios: float) -> dict[str, Any]:
    """A row of ``--out``, in which plain pyzmq has 100."""
    return {
        "cell": dataclasses.asdict(cell),
        "metric": metric,
        "values": {name: spread(100 * ratio) for name, ratio in ratios.items()},
        "ratios": {name: spread(ratio) for name, ratio in ratios.items()},
    }


def peers_document() -> dict[str, Any]:
    return {
        "rows": [
            row(Cell("direct", 16, 1), "rate", pubsub=1.1, zenoh=0.5, raw=1.0),
            row(Cell("brokered", 16, 1), "rate", pubsub=1.1, nats=0.2, raw=1.0),
            row(Cell("direct", 64, 8, 1000.0), "p50_us", pubsub=1.1, raw=1.0),
        ]
    }


def test_the_peers_can_be_drawn(tmp_path: Path) -> None:
    file, picture = tmp_path / "peers.json", tmp_path / "peers.png"
    file.write_text(json.dumps(peers_document()))

    assert main.main([f"--draw={file}", f"--out={picture}"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_throughput_and_latency_are_drawn_on_both_routes() -> None:
    document = peers_document() | {"missing": {"redis": "not installed"}}

    drawn = figure.drawing_of(document).figure

    text = " ".join(each.get_text() for each in drawn.texts).replace("\n", " ")
    assert "Without redis: not installed." in text
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == [
        "direct, events/s, 1 subscriber",
        "through a broker, events/s, 1 subscriber",
        "direct, p50 felt",
        "through a broker, p50 felt",
    ]
    labels = [label.get_text() for label in drawn.axes[2].get_xticklabels()]
    assert labels == ["64 B\n1,000/s\n8 subscribers"]


def test_a_range_is_drawn_behind_each_median() -> None:
    drawn = figure.drawing_of(peers_document()).figure

    _level, *lines = drawn.axes[0].get_lines()
    assert [np.asarray(line.get_ydata()).tolist() for line in lines] == [
        pytest.approx([0.99, 1.32]),
        pytest.approx([1.1]),
        pytest.approx([0.45, 0.6]),
        pytest.approx([0.5]),
    ]


def test_systems_are_told_apart_without_colour() -> None:
    looks = figure.LOOKS.values()
    assert len({look.marker for look in looks}) == len(looks)


@pytest.mark.parametrize(
    ("document", "words", "said"),
    [
        ({"rows": []}, ["--out=x.png"], "this holds no results"),
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


@pytest.mark.parametrize("bar", PEER_BARS, ids=lambda bar: f"{bar.line}-{bar.against}")
def test_every_bar_is_about_lines_that_run_in_cells_of_the_table(
    bar: Bar, all_installed: None
) -> None:
    table = set(cells())
    known = {line.name: line for line in lines()}

    for cell in bar.cells:
        assert cell in table
        assert known[bar.line].runs_in(cell)
        assert known[bar.against].runs_in(cell)


def test_the_peers_that_are_there_have_lines_on_the_routes_that_they_have(
    all_installed: None,
) -> None:
    found = {line.name: line.routes for line in lines()}

    assert found["nats"] == ("brokered",)
    assert found["zenoh"] == ("direct", "brokered")
    assert found["zenoh-shm"] == found[ZENOH_BYTES] == ("direct",)
    assert list(found)[-1] == "raw"
    assert missing() == {}


def test_missing_peers_have_no_lines(nothing_installed: None) -> None:
    assert [line.name for line in lines()] == [line.name for line in LINES]
    assert set(missing()) == set(PEER_SYSTEMS)
    assert all("pip install" in reason for reason in missing().values())


def test_results_have_the_settings_of_the_peers(
    nothing_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        comparison, "run_table", lambda *args: args[-1]({"rows": [], "bars": []})
    )
    said: list[str] = []
    kept: list[dict[str, Any]] = []

    comparison.run([], ["large"], 1, 0.1, said.append, kept.append)

    assert said[0].startswith("nats: left out: NATS needs")
    assert kept[0]["peers"] == {}
    assert set(kept[0]["missing"]) == set(PEER_SYSTEMS)
    assert kept[0]["lines"][0] == "pubsub"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bars=x"], "no bar x: choose from receive, block"),
        (["--only=nothing like it"], "no cell has this bar and name"),
        (["--seconds=0"], "--seconds must be more than 0"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(words) == 2
    assert said in capsys.readouterr().err


def test_a_run_with_a_peer_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets("zenoh-shm", brokered=False)
    file = tmp_path / "peers.json"
    for only in ("direct, 64 KiB, 1 sub", "direct, 64 KiB, 4 sub"):
        words = ["--bars=large", f"--only={only}", f"--out={file}", "--add"]
        # Whether the bars are met depends on the machine.
        assert main.main([*words, "--repetitions=1", "--seconds=0.1"]) in (0, 1)

    assert "bar large" in capsys.readouterr().out
    found = json.loads(file.read_text())
    subscribers = [row["cell"]["subscribers"] for row in found["rows"]]
    assert subscribers == [1, 1, 4, 4]
    assert {"zenoh-shm", ZENOH_BYTES, "pubsub, shm views"} <= set(
        found["rows"][0]["values"]
    )
    assert found["peers"]["zenoh-shm"]["version"].startswith("eclipse-zenoh ")
