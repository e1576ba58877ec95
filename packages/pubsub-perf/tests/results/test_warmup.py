"""Warm-up is left out by the rule that cell.json names, or not at all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.warmup import Steady, mser5, steady

HEADER = "publisher,topic,latency_seconds\n"
DETAILS = "publisher,topic,session,sequence,published_ns,received_ns\n"


def write_run(
    folder: Path,
    warmup: Any,
    latencies: list[Any],
    sequences: list[int] | None = None,
    name: str = "subscriber-0",
) -> Path:
    (folder / "events").mkdir(parents=True, exist_ok=True)
    rows = "".join(f'"p,1",A,{value}\n' for value in latencies)
    (folder / f"{name}.csv").write_text(HEADER + rows)
    about = {"format": 1, "warmup": warmup}
    (folder / "cell.json").write_text(json.dumps(about))
    if sequences is not None:
        lines = "".join(
            f'"p,1",A,1,{k},{1000 * k},{1000 * k + 500}\n' for k in sequences
        )
        with gzip.open(folder / f"events/{name}.csv.gz", "wt") as file:
            file.write(DETAILS + lines)
    return folder


def kept(folder: Path) -> Steady:
    (cell,) = read_dataset(folder).cells
    return steady(cell.runs[0])


FIXED = {"rule": "fixed", "events": 2}


def test_the_first_events_of_each_stream_are_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path, FIXED, [0.9, 0.1, 0.8, 0.2], [0, 2, 1, 3])
    write_run(tmp_path, FIXED, [0.7, 0.3], [1, 5], "subscriber-1")
    found = kept(folder)
    assert found.latencies.tolist() == [0.1, 0.2, 0.3]
    assert (found.left_out, found.rule) == (3, "first 2 of each stream")
    assert found.note is None


def test_rows_without_latency_do_not_shift_the_others(tmp_path: Path) -> None:
    rows: list[Any] = [0.9, "nan", "", 0.8, 0.2, "oops", 0.3]
    found = kept(write_run(tmp_path, FIXED, rows, [0, 2, 3, 1, 4, 5, 6]))
    assert found.latencies.tolist() == [0.2, 0.3]
    assert found.left_out == 2


@pytest.mark.parametrize(
    "warmup", [None, {}, 7, {"rule": "fixed"}, {"rule": "fixed", "events": 0}]
)
def test_without_a_rule_nothing_is_left_out(tmp_path: Path, warmup: Any) -> None:
    found = kept(write_run(tmp_path, warmup, [0.9, 0.1]))
    assert (len(found.latencies), found.rule, found.note) == (2, "none", None)


@pytest.mark.parametrize("rule", [FIXED, {"rule": "mser5"}])
def test_without_details_nothing_is_left_out_and_that_is_said(
    tmp_path: Path, rule: Any
) -> None:
    found = kept(write_run(tmp_path, rule, [0.9, 0.1]))
    assert (len(found.latencies), found.left_out) == (2, 0)
    assert found.note == "no warm-up left out: there is no events/subscriber-0.csv.gz"


def test_details_of_other_events_are_not_used(tmp_path: Path) -> None:
    found = kept(write_run(tmp_path, FIXED, [0.9, 0.1], [0, 1, 2]))
    assert found.note == (
        "no warm-up left out: events/subscriber-0.csv.gz has 3 events, the data file 2"
    )


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a,b\n", mtime=0)])
def test_broken_details_are_not_used(tmp_path: Path, content: bytes) -> None:
    folder = write_run(tmp_path, FIXED, [0.9])
    (folder / "events/subscriber-0.csv.gz").write_bytes(content)
    found = kept(folder)
    assert len(found.latencies) == 1
    assert found.note
    assert found.note.startswith("no warm-up left out: events/subscriber-0.csv.gz ")


def test_an_unknown_rule_is_said(tmp_path: Path) -> None:
    found = kept(write_run(tmp_path, {"rule": "by eye"}, [0.9], [0]))
    assert found.note == "no warm-up left out: unknown rule 'by eye'"


def test_a_rule_that_would_leave_nothing_is_not_followed(tmp_path: Path) -> None:
    found = kept(write_run(tmp_path, FIXED, [0.9, 0.1], [0, 1]))
    assert len(found.latencies) == 2
    assert found.note == "no warm-up left out: the rule would leave nothing"


def test_mser5_cuts_by_time_of_publication(tmp_path: Path) -> None:
    latencies = [0.9] * 20 + [0.1, 0.11] * 100
    order = np.random.default_rng(1).permutation(len(latencies)).tolist()
    folder = write_run(
        tmp_path, {"rule": "mser5"}, [latencies[k] for k in order], order
    )
    found = kept(folder)
    assert found.left_out == 20
    assert found.latencies.max() == 0.11


def test_a_run_too_short_for_its_warm_up_is_flagged(tmp_path: Path) -> None:
    falling = np.linspace(1.0, 0.0, 200).tolist()
    found = kept(write_run(tmp_path, {"rule": "mser5"}, falling, list(range(200))))
    assert found.left_out == 100
    assert found.note
    assert found.note.startswith("MSER-5 asked for more than half")


def test_mser5_agrees_with_its_definition() -> None:
    source = np.random.default_rng(2)
    for size in (30, 57, 400):
        series = source.exponential(size=size) + 5 * np.exp(-np.arange(size) / 20)
        means = series[: size // 5 * 5].reshape(-1, 5).mean(axis=1)
        errors = [means[d:].var() / len(means[d:]) for d in range(len(means) - 5 + 1)]
        best = int(np.argmin(errors))
        cut = mser5(series)
        assert cut.kept_from == 5 * min(best, len(means) // 2)
        assert cut.capped == (best > len(means) // 2)


@given(st.lists(st.floats(-1e6, 1e6), max_size=200))
def test_mser5_never_cuts_more_than_half(values: list[float]) -> None:
    cut = mser5(np.array(values))
    assert 0 <= 2 * cut.kept_from <= max(len(values), 0)
    assert cut.kept_from % 5 == 0


def test_statistics_are_of_what_is_left_and_say_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path, FIXED, [0.9, 0.8, 0.2], [0, 1, 2])
    (cell,) = read_dataset(folder).cells
    summary = summary_of(cell)
    assert summary.statistics.max_s == 0.2
    assert (summary.warmup, summary.warmup_rule) == (2, "first 2 of each stream")
    assert cell.received == 3
