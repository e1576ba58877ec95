"""Medians, ratios within a round, bars, and their text."""

from __future__ import annotations

import dataclasses

import pytest
from support.bench_figures import FIGURES

from pubsub_common.errors import ConfigError
from pubsub_perf.bench.in_turn import bars
from pubsub_perf.bench.in_turn.bars import BARS, Bar, results_of
from pubsub_perf.bench.in_turn.cells import LINES, Cell, cells, size_text
from pubsub_perf.bench.in_turn.results import Spread, joined, ratio_of, rows_of
from pubsub_perf.bench.in_turn.text import line_of, table_of
from pubsub_perf.bench.systems import OURS, RAW
from pubsub_perf.bench.workload.scenario import Figures

CELL = Cell("direct", 64, 1, 1000.0)
BAR = Bar("level", OURS, RAW, "p50_us", 1.15, (CELL,))


def timed(
    *p50_us: float | None, inside_us: float | None = None
) -> list[Figures | None]:
    """A round for each; None is a run that failed."""
    return [
        None
        if value is None
        else dataclasses.replace(FIGURES, p50_us=value, inside_p50_us=inside_us)
        for value in p50_us
    ]


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    # The machine is ten times slower in the second round.
    rounds = {OURS: timed(20, 200, 30), RAW: timed(10, 100, 20)}

    assert ratio_of(rounds, OURS, RAW, "p50_us") == Spread(2.0, 1.5, 2.0)


def test_rounds_in_which_one_of_both_failed_have_no_ratio() -> None:
    rounds = {OURS: timed(20, None, 30), RAW: timed(None, 100, 20)}

    assert ratio_of(rounds, OURS, RAW, "p50_us") == Spread(1.5, 1.5, 1.5)
    assert ratio_of(rounds, OURS, "nothing", "p50_us") is None
    assert ratio_of({OURS: timed(None), RAW: timed(1)}, OURS, RAW, "p50_us") is None


def test_a_cell_has_a_row_for_what_is_felt_and_for_what_is_inside() -> None:
    rounds = {OURS: timed(20, 40, inside_us=15), RAW: timed(10, 10)}

    felt, _p99, inside, cpu = rows_of(CELL, rounds, RAW)

    assert (felt.metric, felt.values[OURS]) == ("p50_us", Spread(30, 20, 40))
    assert felt.ratios == {OURS: Spread(3, 2, 4), RAW: Spread(1, 1, 1)}
    # Plain pyzmq has no stamps of its own.
    assert inside.metric == "inside_p50_us"
    assert inside.values == {OURS: Spread(15, 15, 15)}
    assert inside.ratios == {}
    assert cpu.metric == "cpu_s_per_million"


def test_a_bar_is_met_within_its_bound_and_without_losses() -> None:
    [met] = results_of([BAR], CELL, {OURS: timed(11), RAW: timed(10)})
    [missed] = results_of([BAR], CELL, {OURS: timed(12), RAW: timed(10)})
    losing = [dataclasses.replace(FIGURES, p50_us=5.0, lost=3)]
    [lost] = results_of([BAR], CELL, {OURS: losing, RAW: timed(10)})

    assert (met.met, missed.met, lost.met) == (True, False, False)
    assert lost.lost == 3


def test_a_bar_is_silent_about_other_cells_and_lines_that_did_not_run() -> None:
    other = dataclasses.replace(CELL, subscribers=8)

    assert not list(results_of([BAR], other, {OURS: timed(1), RAW: timed(1)}))
    assert not list(results_of([BAR], CELL, {OURS: timed(1)}))


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.name}-{bar.line}")
def test_every_bar_is_about_lines_that_run_in_cells_of_the_table(bar: Bar) -> None:
    table = set(cells())
    lines = {line.name: line for line in LINES}

    for cell in bar.cells:
        assert cell in table
        assert lines[bar.line].runs_in(cell)
        assert lines[bar.against].runs_in(cell)


def test_only_the_cells_and_lines_of_a_bar_are_run_for_it() -> None:
    found = dict(bars.needed_cells(bars.asked(["receive"], BARS), LINES, ""))

    assert list(found) == [CELL, dataclasses.replace(CELL, subscribers=8)]
    names = [line.name for line in found[CELL]]
    assert names[0] == OURS
    assert names[-1] == RAW
    assert "pubsub, list" not in names
    assert not list(bars.needed_cells(BARS, LINES, "no such cell"))


def test_every_cell_is_run_with_the_lines_that_it_has() -> None:
    found = dict(bars.all_cells(BARS, LINES, "direct"))

    assert all(cell.route == "direct" for cell in found)
    small, large = Cell("direct", 16, 1), Cell("direct", 1 << 20, 1)
    assert "pubsub, generator" in [line.name for line in found[small]]
    assert "pubsub, generator" not in [line.name for line in found[large]]
    assert all(line.overflow == "drop" for line in found[small])
    assert "pubsub, shm" in [line.name for line in found[large]]
    assert "pubsub, shm" not in [line.name for line in found[small]]


def test_a_bar_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no bar x: choose from receive, block"):
        bars.asked(["receive", "x"], BARS)
    assert bars.asked(None, BARS) == list(BARS)
    assert bars.asked([bars.FOOTPRINT], BARS) == []


@pytest.mark.parametrize(
    ("size", "text"), [(16, "16 B"), (65_536, "64 KiB"), (1 << 20, "1 MiB")]
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert size_text(size) == text


def test_cells_that_only_an_earlier_run_measured_are_kept() -> None:
    other = dataclasses.replace(CELL, subscribers=8)
    early, late = (
        {
            "format": 2,
            "seconds": seconds,
            "repetitions": 2 + seconds,
            "rows": [
                {"cell": dataclasses.asdict(cell), "metric": "p50_us"} for cell in of
            ],
            "bars": [{"cell": cell.name, "seconds": seconds} for cell in of],
        }
        for seconds, of in ((1, [other, CELL]), (2, [CELL]))
    )

    found = joined(early, late)

    assert found["seconds"] == 2
    assert found["repetitions"] == 3
    assert [Cell(**row["cell"]) for row in found["rows"]] == [CELL, other]
    assert [(bar["cell"], bar["seconds"]) for bar in found["bars"]] == [
        (other.name, 1),
        (CELL.name, 2),
    ]
    assert joined(None, late) == late
    with pytest.raises(ConfigError, match="another format"):
        joined({"format": 1}, late)


def test_a_cell_is_a_small_table() -> None:
    rounds = {
        OURS: timed(20, 40, inside_us=15),
        "nats": timed(None, 30),
        RAW: timed(10, 10),
    }

    lines = list(table_of(list(rows_of(CELL, rounds, RAW))))

    assert lines[0] == "direct, 64 B, 1 subscriber, 1,000 events/s"
    assert lines[1].split()[:6] == ["p50", "felt,", "us", "/", "raw", "p99"]
    assert lines[2].split()[:5] == ["pubsub", "30.0", "3.00", "(2.00", "to"]
    assert lines[3].split()[:5] == ["nats", "(1", "FAILED)", "30.0", "3.00"]
    assert lines[4].split()[:2] == ["raw", "10.0"]
    assert len({line.find("20.0") for line in lines[2:]}) == 1  # aligned


def test_bars_that_are_missed_are_counted() -> None:
    met, missed = {"met": True}, {"met": False}

    assert bars.complaint({"bars": [met]}) is None
    assert bars.complaint({"bars": [met, missed]}) == "1 of 2 bars missed"
    assert (
        bars.complaint({"bars": [met], "footprint": [missed]}) == "1 of 2 bars missed"
    )


def test_a_bar_is_one_line() -> None:
    [found] = results_of([BAR], CELL, {OURS: timed(12, 13), RAW: timed(10, 10)})

    assert line_of(found) == (
        "bar level MISS  1.25 (1.20 to 1.30) <= 1.15  pubsub / raw, p50 felt, us, "
        "direct, 64 B, 1 subscriber, 1,000 events/s"
    )
