"""The benchmark: what it compares, what it says, and one short run of each kind."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.bench_figures import FIGURES

from pubsub_perf import cli
from pubsub_perf.bench import bytecode, security_cost
from pubsub_perf.bench.forwarder_topics import spread, topics_of
from pubsub_perf.bench.regression import Reference
from pubsub_perf.bench.systems import OURS
from pubsub_perf.bench.targets import Comparison, Target, comparisons, results_of
from pubsub_perf.bench.workload.scenario import Figures, Scenario
from pubsub_perf.commands import bench


def rates(*values: float) -> list[Figures]:
    return [dataclasses.replace(FIGURES, rate=float(value)) for value in values]


def test_every_bar_that_pairs_of_runs_can_tell_is_compared() -> None:
    found = list(comparisons())

    bars = {target.bar for item in found for target in item.targets}
    assert bars == {1, 2, 3, 4, 5, 6, 8, 9}
    assert len({item.name for item in found}) == len(found)


def test_the_ratio_is_the_median_of_the_ratios_within_each_repetition() -> None:
    target = Target(1, "rate", 0.8)
    scenario = Scenario("throughput", 64)
    comparison = Comparison("name", scenario, (target,), scenario)

    # A machine that slows down changes both figures of a repetition.
    [result] = results_of(comparison, rates(900, 90, 500), rates(1000, 100, 1000))

    assert (result.ratio, result.lowest, result.highest) == (0.9, 0.5, 0.9)
    assert (result.ours, result.other) == (500, 1000)
    assert result.met


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (Target(1, "rate", 0.8), 0.8, True),
        (Target(1, "rate", 0.8), 0.79, False),
        (Target(5, "p99_us", 1.15), 1.15, True),
        (Target(5, "p99_us", 1.15), 1.16, False),
    ],
)
def test_rates_must_reach_a_bound_and_costs_must_not_pass_it(
    target: Target, ratio: float, met: bool
) -> None:
    assert target.met(ratio) is met


def test_worse_is_less_of_a_rate_and_more_of_a_cost() -> None:
    assert Target(1, "rate", 0.8).worse_by(0.8, 1.0) == pytest.approx(0.25)
    assert Target(5, "p50_us", 1.15).worse_by(1.25, 1.0) == pytest.approx(0.25)


def test_topics_of_several_publishers_take_turns_at_the_forwarders() -> None:
    ports = {"a": 1, "b": 1, "c": 1, "d": 2, "e": 2}

    assert spread(ports, 2) == ("a", "d")
    assert spread(ports, 4) == ("a", "d", "b", "e")
    assert topics_of(1, 1, 0) == ("bench",)
    assert topics_of(2, 1, 0) == ("bench0", "bench1")


def document(**ratios: float) -> dict[str, Any]:
    return {
        "comparisons": [
            {"bar": 1, "name": name, "metric": "rate", "ratio": ratio}
            for name, ratio in ratios.items()
        ]
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bars=x"], "--bars takes comma-separated numbers: 'x'"),
        (["--bars=99"], "no comparison has this bar and name"),
        (["--only=nothing like it"], "no comparison has this bar and name"),
        (["--seconds=0"], "--seconds must be more than 0"),
        (["--calls", "--add"], "--add needs --out"),
        (["--calls", "--bars=footprint"], "the bar footprint needs --base"),
        (["--calls", "--base=/nowhere"], "/nowhere has no environment with the roles"),
        (["--calls", "--bars=1"], "no bar 1: choose from receive, block"),
        (["--calls", "--only=nothing like it"], "no cell has this bar and name"),
        (["--check=/nowhere/x.json"], "cannot read /nowhere/x.json"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_check_against_something_else_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("no json", "[1]"):
        file = tmp_path / "x.json"
        file.write_text(text)
        assert cli.main(["bench", f"--check={file}"]) == 2
        assert "is not a result of bench --out" in capsys.readouterr().err


def test_secure_runs_are_compared_with_the_same_plain_ones() -> None:
    found = list(security_cost.comparisons())
    assert len({item.name for item in found}) == len(found) == 32
    for item in found:
        assert dataclasses.replace(item.scenario, secure=False) == item.against
        assert item.scenario.secure
        assert item.ours == item.system
        assert all(target.met(0.01) for target in item.targets)


def test_a_ratio_that_got_worse_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pubsub_perf.bench import suite

    def compare(comparison: Comparison, *_: object) -> list[Any]:
        return results_of(comparison, rates(800), rates(1000))

    monkeypatch.setattr(suite, "compare", compare)
    file = tmp_path / "before.json"
    words = ["bench", "--bars=1", "--only=direct, 64 B", f"--check={file}"]
    file.write_text(json.dumps(document(**{"direct, 64 B": 0.95})))

    assert cli.main(words) == 1
    assert (
        "worse by more than 15%: direct, 64 B (rate 0.95 before, 0.80)"
        in capsys.readouterr().err
    )
    file.write_text(json.dumps(document(**{"direct, 64 B": 0.9})))
    assert cli.main(words) == 0


@pytest.mark.parametrize(
    ("rates_found", "before", "runs"),
    [
        ([1.0, 1.0, 1.0], None, 3),
        ([0.7, 0.7, 0.7], None, 9),  # misses its bar
        ([1.0, 1.0, 1.0], 1.1, 3),
        ([1.0, 1.0, 1.0], 1.3, 9),  # is worse than before
    ],
)
def test_what_is_doubtful_is_run_three_times_as_often(
    monkeypatch: pytest.MonkeyPatch,
    rates_found: list[float],
    before: float | None,
    runs: int,
) -> None:
    from pubsub_perf.bench import suite

    scenario = Scenario("throughput", 64)
    comparison = Comparison(
        "direct, 64 B", scenario, (Target(1, "rate", 0.8),), scenario
    )
    ours = itertools.cycle(rates(*(1000 * each for each in rates_found)))

    def run(system: str, *_: object) -> Figures:
        return next(ours) if system == OURS else FIGURES

    monkeypatch.setattr(suite, "run_scenario", run)
    ratio = {"bar": 1, "name": comparison.name, "metric": "rate", "ratio": before}
    reference = Reference(None if before is None else {"comparisons": [ratio]})

    [found] = suite.compare(comparison, 3, 0.1, lambda _: None, reference.doubtful)

    assert found.repetitions == runs
    assert (reference.complaint([found]) is not None) == (before == 1.3)


def test_roles_write_byte_code_though_python_was_told_not_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "compiled.py").write_text("x = 1\n")
    tell = "import compiled, pathlib; print(pathlib.Path(compiled.__cached__).exists())"

    def start() -> str:
        command = [sys.executable, "-c", tell]
        return subprocess.check_output(command, cwd=tmp_path, text=True).strip()

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(os.environ)
    assert start() == "False"
    with bytecode.written():
        assert start() == "True"
    assert dict(os.environ) == before
    assert not (tmp_path / "__pycache__").exists()


def test_byte_code_is_where_it_always_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = dict(os.environ)
    with bytecode.written():
        assert dict(os.environ) == before


def test_a_line_tells_the_bar_and_both_figures() -> None:
    scenario = Scenario("throughput", 64)
    comparison = Comparison(
        "direct, 64 B", scenario, (Target(1, "rate", 0.8),), scenario
    )
    [result] = results_of(comparison, rates(700), rates(1000))

    assert bench.line_of(result) == (
        "bar 1 MISS  0.70 (0.70 to 0.70) >= 0.80  direct, 64 B: 700 against 1,000 events/s"
    )
