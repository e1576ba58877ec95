"""Per-event details, and the run with events over time."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from support.perf_sweeps import WARMUP, write_details, write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.event_details_reader import read_details
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.timeseries import read_series

HEADER = "publisher,topic,session,sequence,published_ns,received_ns"


def row(sequence: int, published: int, latency: int) -> tuple[str | int, ...]:
    return ("10.0.0.2:5556", "A", 1, sequence, published, published + latency)


def test_details_of_all_subscribers_are_in_order_of_publication(tmp_path: Path) -> None:
    events = tmp_path / "events"
    write_details(
        events / "subscriber-0.csv.gz", HEADER, [row(0, 10, 5), row(1, 30, 5)]
    )
    write_details(events / "subscriber-1.csv.gz", HEADER, [row(0, 20, 7)])
    details, problems = read_details(tmp_path)
    assert details is not None
    assert problems == ()
    assert details.published_ns.tolist() == [10, 20, 30]
    assert details.sequence.tolist() == [0, 0, 1]
    assert details.latencies.tolist() == pytest.approx([5e-9, 7e-9, 5e-9])
    assert details.elapsed_s.tolist() == pytest.approx([0, 10e-9, 20e-9])


def test_without_details_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_details(tmp_path) == (None, ())
    write_details(tmp_path / "events/subscriber-0.csv.gz", HEADER, [])
    (tmp_path / "events/subscriber-1.csv.gz").write_bytes(gzip.compress(b""))
    assert read_details(tmp_path) == (None, ())


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(f"{HEADER}\na,b,1,0,1,2\n".encode())[:-9],
        gzip.compress(f"{HEADER}\na,b,1,x,1,2\n".encode()),
        gzip.compress(f"{HEADER}\na,b\n".encode()),
        gzip.compress(b"\xff\xfe\n\xff\n"),
    ],
    ids=["other", "cut", "word", "short", "binary"],
)
def test_a_broken_file_is_left_out_and_named(tmp_path: Path, content: bytes) -> None:
    write_details(tmp_path / "events/subscriber-0.csv.gz", HEADER, [row(0, 10, 5)])
    (tmp_path / "events/subscriber-1.csv.gz").write_bytes(content)
    details, (problem,) = read_details(tmp_path)
    assert details is not None
    assert len(details.sequence) == 1
    assert problem.startswith("events/subscriber-1.csv.gz: cannot be read")


def of(folder: Path) -> CellSummary:
    (cell,) = read_dataset(folder).cells
    return summary_of(cell)


NETWORK = topologies.single_switch(6)


def test_the_first_run_is_shown_and_its_warm_up_marked(tmp_path: Path) -> None:
    write_sweep(tmp_path, [NETWORK], models=["centralized"], runs=3, lose=1)
    series, problems = read_series(of(tmp_path))
    assert series is not None
    assert problems == ()
    assert (series.run, series.of_runs) == (1, 3)
    assert (series.lost, series.expected) == (1, 6 * 23)
    assert len(series.details.sequence) == 6 * 23 - 1
    assert series.warmup.sum() == 6 * WARMUP
    assert (series.details.sequence[series.warmup] < WARMUP).all()


def test_a_later_run_is_shown_where_the_first_has_no_details(tmp_path: Path) -> None:
    write_sweep(tmp_path, [NETWORK], models=["centralized"], runs=2)
    for path in (tmp_path / "data/centralized/single-switch-6hosts/events").iterdir():
        path.unlink()
    series, _ = read_series(of(tmp_path))
    assert series is not None
    assert series.run == 2


def test_warm_up_by_mser5_is_what_was_published_first(tmp_path: Path) -> None:
    write_sweep(
        tmp_path,
        [topologies.single_switch(16)],
        models=["centralized"],
        warmup={"rule": "mser5"},
    )
    summary = of(tmp_path)
    series, _ = read_series(summary)
    assert series is not None
    assert series.warmup.sum() == summary.warmup > 0
    last = series.details.published_ns[series.warmup].max()
    assert (series.details.published_ns[~series.warmup] >= last).all()


def test_without_a_rule_nothing_is_marked(tmp_path: Path) -> None:
    write_sweep(tmp_path, [NETWORK], models=["centralized"], warmup={})
    series, _ = read_series(of(tmp_path))
    assert series is not None
    assert not series.warmup.any()


def test_without_details_there_is_no_series(tmp_path: Path) -> None:
    write_sweep(tmp_path, [NETWORK], models=["centralized"], details=False)
    assert read_series(of(tmp_path)) == (None, ())


def test_details_and_data_file_hold_the_same_latencies(tmp_path: Path) -> None:
    write_sweep(tmp_path, [NETWORK], models=["centralized"])
    summary = of(tmp_path)
    series, _ = read_series(summary)
    assert series is not None
    steady = np.sort(series.details.latencies[~series.warmup])
    np.testing.assert_allclose(steady, summary.ordered, atol=1e-9)
