"""A cell with growing latency during its runs has no steady state."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pubsub_perf.analysis import analyse
from pubsub_perf.report.findings import findings_of
from pubsub_perf.results.cells import Run, SubscriberData
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.latency_trend import Backlog, backlog_of, trend_of
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.warmup import steady

Floats = NDArray[np.float64]


def write(folder: Path, latencies: Floats, streams: int = 1) -> Path:
    """A file of somebody else: rows in order of receipt, and nothing beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f"10.0.0.{i % streams}:5556,A,{value:.9f}\n"
        for i, value in enumerate(latencies)
    )
    (folder / "subscriber-0.csv").write_text(rows)
    return folder


def backlog(folder: Path) -> Backlog | None:
    (cell,) = read_dataset(folder).cells
    return backlog_of([trend_of(run, steady(run)) for run in cell.runs])


def noisy(middle: Floats, spread: float = 0.3, seed: int = 1) -> Floats:
    return middle * np.random.default_rng(seed).lognormal(0, spread, len(middle))


@pytest.mark.parametrize("streams", [1, 7])
def test_a_backlog_is_seen_in_rows_alone(tmp_path: Path, streams: int) -> None:
    growing = noisy(np.linspace(1e-3, 0.2, 700))
    found = backlog(write(tmp_path, growing, streams))
    assert found is not None
    assert found.per_second_s is None
    assert found.per_event_s == pytest.approx(0.199 / 700 * streams, rel=0.2)
    assert 0 < found.first_s < 0.02
    assert found.last_s == pytest.approx(0.195, rel=0.2)
    told = str(found)
    assert told.startswith("no steady state: latency grows during the run, from ")
    assert told.endswith("with each event of a publisher")


STEADY: dict[str, Floats] = {
    "constant": np.full(400, 1e-3),
    "noise": noisy(np.full(400, 1e-3)),
    "falls": noisy(np.linspace(2e-3, 1e-3, 400)),
    "a long warm-up": noisy(np.minimum(np.linspace(1e-3, 9e-3, 400), 3e-3), 0.1),
    "grows by a tenth": noisy(np.linspace(1e-3, 1.1e-3, 400), 0.02),
    "late events at the end": np.concatenate([noisy(np.full(390, 1e-3)), [1.0] * 10]),
    "few events": np.linspace(1e-3, 1.0, 30),
    "a period": noisy(1e-3 * (2 + np.sin(np.arange(400) / 8))),
}


@pytest.mark.parametrize("name", STEADY)
def test_what_does_not_grow_all_the_time_is_steady(tmp_path: Path, name: str) -> None:
    assert backlog(write(tmp_path, STEADY[name])) is None


def test_publishers_that_differ_are_no_trend(tmp_path: Path) -> None:
    """Rows of one publisher after those of another, as somebody may have joined them."""
    rows = [f"{name}:1,A,{value:.6f}\n" for name, value in (("a", 1e-3), ("b", 5e-3))]
    tmp_path.joinpath("subscriber-0.csv").write_text("".join(r * 100 for r in rows))
    assert backlog(tmp_path) is None


def test_many_queues_that_are_nearly_full_are_steady() -> None:
    """Of 40 queues used to 90 %, at most 4 look as if they grew."""
    source = np.random.default_rng(1)
    grown = 0
    for _ in range(40):
        wait, waits = 0.0, []
        for gap in source.exponential(1 / 0.9, 4000):
            waits.append(wait + 1)
            wait = max(0.0, wait + 1 - gap)
        grown += _grows(np.array(waits[3000:]))
    assert grown <= 4


def _grows(latencies: Floats) -> bool:
    file = SubscriberData("subscriber-0", 0, (), (), latencies)
    run = Run(Path(), 1, None, (file,), None, 0, None, "ok", None, None, None)
    trend = trend_of(run, steady(run))
    return trend is not None and trend.grows


def test_with_times_the_slope_is_by_the_second(tmp_path: Path) -> None:
    latencies = noisy(np.linspace(1e-3, 0.5, 200), 0.1)
    write(tmp_path, latencies)
    about = {"format": 1, "warmup": {"rule": "fixed", "events": 5}}
    (tmp_path / "cell.json").write_text(json.dumps(about))
    (tmp_path / "events").mkdir()
    with gzip.open(tmp_path / "events/subscriber-0.csv.gz", "wt") as file:
        file.write("publisher,topic,session,sequence,published_ns,received_ns\n")
        for k, value in enumerate(latencies):
            sent = k * 20_000_000
            file.write(f'"p",A,1,{k},{sent},{sent + int(value * 1e9)}\n')
    found = backlog(tmp_path)
    assert found is not None
    assert found.per_second_s == pytest.approx(0.5 / 4, rel=0.1)
    assert str(found).endswith(" ms each second")


def run_folders(
    folder: Path, growing: int, of: int, network: str = "tree-9hosts"
) -> Path:
    for number in range(1, of + 1):
        last = 0.2 if number <= growing else 1e-3
        place = folder / "data" / "centralized" / network
        place = place if number == 1 else place / f"run-{number}"
        write(place, noisy(np.linspace(1e-3, last, 300), seed=number))
    return folder


@pytest.mark.parametrize(
    ("growing", "expected"), [(5, 5), (3, 3), (2, None), (0, None)]
)
def test_most_runs_decide(tmp_path: Path, growing: int, expected: int | None) -> None:
    found = backlog(run_folders(tmp_path, growing, 5))
    assert (found and found.runs) == expected
    if found is not None:
        assert f"during {growing} of 5 runs" in str(found)


def test_reports_say_it_of_the_cell(tmp_path: Path) -> None:
    (cell,) = read_dataset(run_folders(tmp_path, 1, 1)).cells
    (note,) = summary_of(cell).notes
    assert note.startswith("no steady state: latency grows during the run")


def test_an_analysis_says_it_and_fits_no_shape_to_it(tmp_path: Path) -> None:
    for hosts in (5, 9, 13, 17, 21, 25, 29):
        growing = 3 if hosts == 29 else 0
        run_folders(tmp_path, growing, 3, f"tree-{hosts}hosts")
    found = analyse(read_dataset(tmp_path))
    name = "centralized/tree-29hosts"
    (cell,) = (cell for cell in found.cells if cell.backlog)
    assert cell.name == name
    assert any(p.startswith(f"{name}: no steady state") for p in found.problems)
    (growth,) = found.growth
    assert max(point.hosts for point in growth.points) == 25
    assert growth.unsteady == (name,)
    left_out = {item.cell: item.reason for item in found.patterns[4].left_out}
    assert left_out[name].startswith("no steady state")
    assert any("No steady state in 1 of 7" in c for c in findings_of(found).cautions)
