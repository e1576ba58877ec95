"""What a sweep shows while it runs."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from pubsub_perf.experiment.progress import SweepProgress
from pubsub_perf.experiment.sweep import Result, TimeLeft
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Case, Load

CASES = [
    Case(model, topologies.tree(4, 2), Load(events=20, interval_s=0.1), run)
    for run in (1, 2)
    for model in ("centralized", "decentralized")
]
RECORD = {"outcome": "ok", "received": 9, "expected": 9, "duration_s": 5.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved on."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_goes_by_what_cells_took(clock: list[float]) -> None:
    left = TimeLeft(CASES)
    guessed_s = left.left_s()
    assert guessed_s > 4 * 2.0
    clock[0] += 10
    left.end(Result(CASES[0], RECORD, skipped=False))
    assert left.left_s() == pytest.approx(30)
    clock[0] += 4
    assert left.left_s() == pytest.approx(26)
    clock[0] += 60
    assert left.left_s() == pytest.approx(20)


def test_cells_of_before_say_nothing_about_the_time(clock: list[float]) -> None:
    left = TimeLeft(CASES)
    each_s = left.left_s() / 4
    left.end(Result(CASES[0], RECORD, skipped=True))
    assert left.left_s() == pytest.approx(3 * each_s)


def test_a_log_tells_how_far_it_is_and_how_long_it_takes(clock: list[float]) -> None:
    said = io.StringIO()
    with SweepProgress(CASES, Console(file=said, width=80)) as progress:
        for case in CASES:
            progress.begin(case)
            progress.step("measuring")
            clock[0] += 30
            progress.end(Result(case, RECORD, skipped=False))
    first, *_, last = said.getvalue().splitlines()
    assert first.endswith("9 of 9 events, 5.0 s (1 of 4, about 1:30 left)")
    assert last.endswith("9 of 9 events, 5.0 s (4 of 4)")


def test_a_narrow_terminal_shows_the_time_left(clock: list[float]) -> None:
    said = io.StringIO()
    console = Console(file=said, width=80, force_terminal=True, color_system=None)
    with SweepProgress(CASES, console) as progress:
        progress.begin(CASES[0])
        progress.step("waiting until all are attached")
        clock[0] += 1
    shown = re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "\n", said.getvalue()).splitlines()
    lines = [line for line in shown if "0/4" in line]
    assert lines
    assert all(len(line) <= 80 for line in lines)
    assert all(re.search(r"about 0:[0-9]{2} left", line) for line in lines)
    assert any("centralized/tree-d4f2-16hosts" in line for line in lines)


def test_a_narrow_terminal_shows_the_network_of_a_long_scenario(
    clock: list[float],
) -> None:
    said = io.StringIO()
    console = Console(file=said, width=80, force_terminal=True, color_system=None)
    long = Case(
        "centralized",
        topologies.tree(4, 2),
        CASES[0].load,
        1,
        scenario="rate=50,payload-size=64,overflow=block,queue-limit=1000",
    )
    with SweepProgress([long], console) as progress:
        progress.begin(long)
        progress.step("measuring")
        clock[0] += 1
    assert "centralized/tree-d4f2-16hosts" in said.getvalue()
