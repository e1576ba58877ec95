"""Sweeps with a known truth, drawn from a seed: in memory, or as files.

A run's latencies are log-normal about the cell's median times the run's own factor
(runs of one cell differ) and that of its round (the machine drifts), with a share of slow
events with multiplied latency (the tail). A cell's median is that of its model's law
times the network's own factor.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.values.samples import (
    CENTRALIZED,
    DECENTRALIZED,
    Sample,
    figures,
    make_sample,
)

Floats = NDArray[np.float64]
LatencyByHosts = Callable[[float], float]

KIND: Final = "single-switch"
SIZES: Final = (5, 9, 17, 25, 33, 49, 65)


@dataclasses.dataclass(frozen=True, slots=True)
class LatencyModel:
    """How latency comes about in one model: the median (s) by hosts, the spread of
    events, and the share of events that are ``factor`` times as slow."""

    median_s: LatencyByHosts
    spread: float = 0.3
    slow_share: float = 0.02
    slow_factor: float = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class GroundTruth:
    """A sweep to be drawn. ``run_noise``, ``network_noise`` (of each cell, the same in all
    its runs) and ``round_drift`` (of each step of a random walk over the rounds, the same
    in all cells) are standard deviations of logarithms. The runs of a cell are correlated
    with the next by ``autocorrelation``. A share ``bad_runs`` of runs is half as slow
    again."""

    centralized: LatencyModel
    decentralized: LatencyModel
    sizes: tuple[int, ...] = SIZES
    runs: int = 5
    events: int = 200
    run_noise: float = 0.05
    network_noise: float = 0.0
    bad_runs: float = 0.0
    round_drift: float = 0.0
    autocorrelation: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DrawnCell:
    """Latencies in seconds, a row for each run."""

    model: str
    hosts: int
    latencies: Floats

    @property
    def network(self) -> str:
        return f"{KIND}-{self.hosts}hosts"


def draw_cells(ground_truth: GroundTruth, seed: int) -> Iterator[DrawnCell]:
    """One sweep of this truth, cell by cell."""
    source = np.random.default_rng(seed)
    steps = ground_truth.round_drift * source.normal(size=(ground_truth.runs, 1))
    drift = steps.cumsum(axis=0)
    for hosts in ground_truth.sizes:
        for name, model in (
            (CENTRALIZED, ground_truth.centralized),
            (DECENTRALIZED, ground_truth.decentralized),
        ):
            runs = drift + _runs(ground_truth, model, hosts, source)
            yield DrawnCell(name, hosts, _latencies(ground_truth, model, runs, source))


def draw(ground_truth: GroundTruth, seed: int) -> list[Sample]:
    """One sweep of this truth, as what verdicts are computed from."""
    return [
        make_sample(
            cell.model,
            cell.network,
            KIND,
            cell.hosts,
            "synthetic",
            [found for run in cell.latencies if (found := figures(run)) is not None],
        )
        for cell in draw_cells(ground_truth, seed)
    ]


def write_sweep(folder: Path, ground_truth: GroundTruth, seed: int) -> Path:
    """Write one sweep of this truth as the files of a sweep; returns ``folder``."""
    for cell in draw_cells(ground_truth, seed):
        for number, latencies in enumerate(cell.latencies, start=1):
            place = folder / "data" / cell.model / cell.network
            place = place if number == 1 else place / f"run-{number}"
            place.mkdir(parents=True, exist_ok=True)
            rows = "".join(f"10.0.0.2:5556,A,{value:.9f}\n" for value in latencies)
            header = "publisher,topic,latency_seconds\n"
            (place / "subscriber-0.csv").write_text(header + rows, encoding="utf-8")
            about = {
                "format": 1,
                "model": cell.model,
                "network": cell.network,
                "topology": {"kind": KIND, "hosts": cell.hosts},
                "parameters": {"interval_s": 0.05, "payload_bytes": 64},
                "run": number,
                "outcome": "ok",
                "expected": ground_truth.events,
                "received": ground_truth.events,
                "lost": 0,
                "fidelity": {"verdict": "ok", "reason": None},
            }
            (place / "cell.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def _runs(
    ground_truth: GroundTruth,
    model: LatencyModel,
    hosts: int,
    source: np.random.Generator,
) -> Floats:
    """The logarithm of each run's median, a row for each."""
    cell = ground_truth.network_noise * source.normal()
    noise = source.normal(size=(ground_truth.runs, 1))
    kept = ground_truth.autocorrelation
    for i in range(1, ground_truth.runs):
        noise[i] = kept * noise[i - 1] + math.sqrt(1 - kept**2) * noise[i]
    bad = source.random((ground_truth.runs, 1)) < ground_truth.bad_runs
    runs: Floats = (
        math.log(model.median_s(hosts))
        + cell
        + ground_truth.run_noise * noise
        + math.log(1.5) * bad
    )
    return runs


def _latencies(
    ground_truth: GroundTruth,
    model: LatencyModel,
    runs: Floats,
    source: np.random.Generator,
) -> Floats:
    shape = (ground_truth.runs, ground_truth.events)
    events = runs + model.spread * source.normal(size=shape)
    slow = source.random(shape) < model.slow_share
    latencies: Floats = np.exp(events) * np.where(slow, model.slow_factor, 1.0)
    return latencies
