"""Short runs of the benchmarks: no event is lost, and the results are written.

How a ratio came out depends on the machine, and is asserted nowhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.rings import full_size

from pubsub_perf import cli
from pubsub_perf.bench import flood, security_cost
from pubsub_perf.bench.flood import QUIET, run_one
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.systems import OURS, OURS_AIO, RAW, ours
from pubsub_perf.bench.workload.job import Receiving
from pubsub_perf.bench.workload.scenario import Scenario
from pubsub_perf.commands import bench

LOAD_S = 1.0 if full_size() else 0.1


@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("system", [OURS, OURS_AIO, RAW])
def test_a_run_of_each_system_loses_nothing(system: str, brokered: bool) -> None:
    figures = run_scenario(
        system, Scenario("throughput", 64, 2, brokered=brokered), LOAD_S
    )

    assert figures.lost == 0
    assert figures.sent > 0
    assert figures.received == 2 * figures.sent
    assert figures.rate > 0


@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("system", [OURS, RAW])
def test_a_secure_run_loses_nothing(system: str, brokered: bool) -> None:
    scenario = Scenario("throughput", 64, 2, brokered=brokered, secure=True)
    assert run_scenario(system, scenario, LOAD_S).lost == 0


def test_the_cost_of_security_is_measured_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secure.json"
    words = ["bench", "--secure", "--only=direct, 64 B, 1 subscribers, 1000 events/s"]
    assert (
        cli.main([*words, "--repetitions=1", f"--seconds={LOAD_S}", f"--out={file}"])
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "secure/plain: direct, 64 B, 1 subscribers, 1000 events/s, plain pyzmq" in said
    )
    assert "met" not in said
    found = json.loads(file.read_text())["comparisons"]
    assert {item["bar"] for item in found} == {10, 11}
    assert {item["metric"] for item in found} == {"p50_us", "p99_us"}
    assert {item["bound"] for item in found} == {None}


def test_roles_with_keys_are_weighed_against_those_without() -> None:
    found = security_cost.facts(1)
    assert [fact.unit for fact in found] == ["MiB"] * 3 + ["s"] * 2
    assert all(fact.met for fact in found)
    assert "bar 10 " in bench.line_of_fact(found[0])


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("throughput", 64, sending="list", receiving="batches"),
        Scenario(
            "throughput", 64, 2, brokered=True, sending="list", receiving="batches"
        ),
        Scenario("throughput", 64, sending="generator", receiving="batches"),
        Scenario("throughput", 64, 2, receiving="receive"),
        Scenario("throughput", 1 << 16, shared_memory=True),
        Scenario("throughput", 1 << 16, 2, shared_memory=True, receiving="views"),
        Scenario("throughput", 64, 2, brokered=True, overflow="block"),
        Scenario("throughput", 64, 2, brokered=True, publishers=2, forwarders=2),
    ],
)
def test_batches_and_forwarders_lose_nothing(scenario: Scenario) -> None:
    assert run_scenario(OURS, scenario, LOAD_S).lost == 0


def test_a_run_ends_although_its_broker_drops_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ours, "_UNLIMITED", 1)

    figures = run_scenario(OURS, Scenario("throughput", 1 << 16, brokered=True), LOAD_S)

    assert figures.received + figures.lost == figures.sent


@pytest.mark.parametrize(
    ("system", "receiving"),
    [
        (OURS, "iterate"),
        (OURS, "receive"),
        (OURS_AIO, "iterate"),
        (OURS_AIO, "receive"),
        (RAW, "iterate"),
    ],
)
def test_a_run_at_a_steady_rate_has_latencies(
    system: str, receiving: Receiving
) -> None:
    scenario = Scenario("latency", 64, rate=500.0, receiving=receiving)
    figures = run_scenario(system, scenario, LOAD_S)

    assert figures.sent == figures.received == round(500 * LOAD_S)
    assert figures.p50_us is not None
    assert figures.p99_us is not None
    assert 0 < figures.p50_us <= figures.p99_us
    if system == RAW:
        assert figures.inside_p50_us is None
    else:
        assert figures.inside_p50_us is not None
        assert 0 < figures.inside_p50_us <= figures.p50_us


def test_each_kind_of_call_is_run_in_turn_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "calls.json"
    words = ["bench", "--calls", "--bars=block", "--only=256 B, 1 sub"]
    words.append(f"--base={Path(sys.executable).parent.parent}")

    # Whether the bar is met depends on the machine.
    words += ["--repetitions=2", "--seconds=0.1", f"--out={file}"]
    assert cli.main(words) in (0, 1)

    said = capsys.readouterr().out
    assert "bar block" in said
    found = json.loads(file.read_text())
    rate, cpu = found["rows"]
    assert (rate["metric"], cpu["metric"]) == ("rate", "cpu_s_per_million")
    assert set(rate["values"]) == {
        "pubsub",
        "pubsub, block",
        "pubsub, block (base)",
        "raw",
    }
    assert rate["cell"]["payload_bytes"] == 256
    assert rate["failed"] == dict.fromkeys(rate["values"], 0)
    bar, *to_base = found["bars"]
    assert [each["against"] for each in to_base] == ["pubsub, block (base)"] * 2
    assert (bar["bar"], bar["rounds"], bar["lost"]) == ("block", 2, 0)


def test_the_command_writes_what_it_found_and_checks_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    words = ["bench", "--bars=1", "--only=direct, 64 B", "--repetitions=1"]

    assert cli.main([*words, f"--seconds={LOAD_S}", f"--out={file}"]) == 0
    said = capsys.readouterr().out
    found = json.loads(file.read_text())

    assert "bar 1" in said
    [item] = found["comparisons"]
    assert (item["name"], item["lost"]) == ("direct, 64 B", 0)
    # More often where the ratio misses its bound, which depends on the machine.
    assert item["repetitions"] in (1, 3)
    assert item["ratio"] > 0
    assert found["versions"]["libzmq"]


@pytest.mark.parametrize("brokered", [False, True])
@pytest.mark.parametrize("kind", [QUIET, "registrations"])
def test_a_short_run_gives_figures(kind: str, brokered: bool) -> None:
    found = run_one(kind, brokered, LOAD_S)

    assert found.figures.received == round(1000 * LOAD_S)
    assert found.figures.p50_us is not None
    assert found.newcomers_ms
    assert not found.missed
    assert (found.done is None) == (kind == QUIET)
    if found.done is not None:
        assert found.done.messages  # how soon it is disconnected depends on the machine


def test_a_benchmark_of_floods_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(flood, "KINDS", ("busy",))
    out = tmp_path / "flood.json"

    words = ["--flood", "--repetitions=1", f"--seconds={LOAD_S}", f"--out={out}"]
    assert cli.main(["bench", *words]) == 0

    written = json.loads(out.read_text())
    assert [item["kind"] for item in written["flood"]] == ["quiet", "busy"] * 2
    assert len(capsys.readouterr().out.splitlines()) == 4
