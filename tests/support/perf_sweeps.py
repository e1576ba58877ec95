"""Sweep folders made up for tests: both models, several runs, with per-event details.

Centralized latency grows with the load of the broker, decentralized less; runs differ
by a factor of their own; the first events of each stream are slow; few events are far
out. Everything is drawn from a seed.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.plan.topologies import Network, Placement

MODELS: Final = ("centralized", "decentralized")
WARMUP: Final = 3
INTERVAL_S: Final = 0.1
_HEADER: Final = "publisher,topic,latency_seconds\n"
_DETAILS: Final = "publisher,topic,session,sequence,published_ns,received_ns"
_LOG: Final = "topic,sequence,intended_ns,sent_ns"
_EPOCH_NS: Final = 4_000_000_000_000
_INTERVAL_NS: Final = int(INTERVAL_S * 1e9)
_BYTES: Final = 134

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Row = tuple[str, str, int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The parameters of a sweep. ``lose``: events that the first subscriber of each run does not
    get. ``fidelity``: verdicts by model and hosts, where they are not ``ok``.
    ``warmup``: the rule in ``cell.json``."""

    models: Sequence[str] = MODELS
    runs: int = 1
    events: int = 20
    details: bool = True
    lose: int = 0
    seed: int = 1
    fidelity: Mapping[tuple[str, int], str] = dataclasses.field(default_factory=dict)
    warmup: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"rule": "fixed", "events": WARMUP}
    )

    @property
    def sent(self) -> int:
        """Events of each publisher, warm-up included."""
        return self.events + WARMUP


def write_sweep(root: Path, networks: Iterable[Network], **changes: Any) -> Path:
    """Write ``root / "data"``; ``changes`` are those of a `Sweep`."""
    sweep = Sweep(**changes)
    for network in networks:
        for model in sweep.models:
            for number in range(1, sweep.runs + 1):
                folder = root / "data" / model / network.name
                if number > 1:
                    folder /= f"run-{number}"
                (folder / "events").mkdir(parents=True, exist_ok=True)
                _Run(sweep, network, model, number).write(folder)
    return root


class _Run:
    def __init__(self, sweep: Sweep, network: Network, model: str, number: int) -> None:
        self.sweep, self.network, self.model = sweep, network, model
        self.number = number
        self.place = Placement.of(len(network.hosts))
        seed = [sweep.seed, len(network.hosts), number, MODELS.index(model)]
        self.random = np.random.default_rng(seed)
        self.factor = float(self.random.lognormal(0, 0.05))
        steps = _INTERVAL_NS * np.arange(sweep.sent)
        phases = {p: int(self.random.integers(_INTERVAL_NS)) for p in self.publishers}
        self.due = {p: _EPOCH_NS + phases[p] + steps for p in self.publishers}
        self.late = {
            p: self.random.gamma(2.0, 8_000, sweep.sent).astype(np.int64)
            for p in self.publishers
        }

    @property
    def publishers(self) -> range:
        return self.place.publishers

    def write(self, folder: Path) -> None:
        subscribers = []
        for index, host in enumerate(self.place.subscribers):
            rows = self.received(host)
            lost = self.sweep.lose if index == 0 else 0
            rows = rows[: len(rows) - lost]
            text = "".join(
                f"{p},{t},{(r - s) / 1e9:.9f}\n" for p, t, _, _, s, r in rows
            )
            (folder / f"subscriber-{index}.csv").write_text(_HEADER + text)
            if self.sweep.details:
                path = folder / f"events/subscriber-{index}.csv.gz"
                write_details(path, _DETAILS, rows)
            subscribers.append(self.subscriber(index, host, len(rows), lost))
        if self.sweep.details:
            for index, p in enumerate(self.publishers):
                path = folder / f"events/publisher-{index}.csv.gz"
                write_details(path, _LOG, self.log(p))
        (folder / "cell.json").write_text(json.dumps(self.record(subscribers)))

    def received(self, subscriber: int) -> list[Row]:
        rows = []
        for p in self.publishers:
            published = self.due[p] + self.late[p]
            arrives = published + self.latencies_ns(p, subscriber)
            stream = f"{address(p)}:5556", "A", 1
            rows += [
                (*stream, k, int(published[k]), int(arrives[k]))
                for k in range(self.sweep.sent)
            ]
        return sorted(rows, key=lambda row: row[-1])

    def latencies_ns(self, publisher: int, subscriber: int) -> Whole:
        hosts = len(self.network.hosts)
        median_us = truth_us(self.model, hosts)
        # Later subscribers are served later; some publishers sit on a slow port.
        median_us *= 1 + 0.3 * subscriber / hosts + 0.1 * (publisher % 5 == 0)
        us = self.random.lognormal(np.log(median_us), 0.25, self.sweep.sent)
        us[:WARMUP] *= 3
        far_out = self.random.random(self.sweep.sent) < 0.004
        us[far_out] *= self.random.uniform(5, 20, int(far_out.sum()))
        return np.asarray(us * 1e3 * self.factor, dtype=np.int64)

    def log(self, publisher: int) -> list[tuple[str, int, int, int]]:
        due, sent = self.due[publisher], self.due[publisher] + self.late[publisher]
        return [("A", k, int(due[k]), int(sent[k])) for k in range(self.sweep.sent)]

    def subscriber(
        self, index: int, host: int, received: int, lost: int
    ) -> dict[str, Any]:
        return {
            "index": index,
            "host": self.network.hosts[host],
            "address": address(host),
            "topics": ["A"],
            "expected": received + lost,
            "received": received,
            "lost": lost,
            "duplicated": 0,
            "reordered": 0,
        }

    def record(self, subscribers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        totals = {
            name: sum(s[name] for s in subscribers)
            for name in ("expected", "received", "lost", "duplicated", "reordered")
        }
        return {
            "format": 1,
            "model": self.model,
            "network": self.network.name,
            "topology": self.network.describe(),
            "run": self.number,
            "repeats": self.sweep.runs,
            "parameters": {
                "events": self.sweep.events,
                "interval_s": INTERVAL_S,
                "topics": 1,
                "payload_bytes": 64,
                "bandwidth_mbit": 5.0,
                "delay_ms": None,
                "warmup_events": WARMUP,
                "seed": self.sweep.seed,
            },
            "warmup": self.sweep.warmup,
            "clock": {"name": "monotonic", "shared": True, "error_bound_ns": 0},
            "started": f"2026-11-24T06:{self.number:02d}:00+00:00",
            "kernel": "Linux 6.18",
            "versions": {"pubsub-perf": "0.1.0", "python": "3.11.7"},
            "machine": {"cpus": 2, "memory_bytes": 2**34},
            "hosts": {
                "kind": "mininet",
                "broker": address(0),
                "publishers": [address(p) for p in self.publishers],
                "subscribers": [address(s) for s in self.place.subscribers],
            },
            "commands": {"broker": ["pubsub-broker", "--bind", address(0)]},
            **self.publishing(),
            **self.effort(totals["received"]),
            "outcome": "ok",
            "reason": None,
            "duration_s": self.sweep.sent * INTERVAL_S + 3.0,
            **totals,
            "subscribers": list(subscribers),
        }

    def publishing(self) -> dict[str, Any]:
        publishers = [
            {
                "index": index,
                "host": self.network.hosts[p],
                "address": f"{address(p)}:5556",
                "sent": self.sweep.sent,
                "lateness_us": _lateness_us(self.late[p]),
            }
            for index, p in enumerate(self.publishers)
        ]
        every = np.concatenate(list(self.late.values()))
        return {"publishers": publishers, "lateness_us": _lateness_us(every)}

    def effort(self, received: int) -> dict[str, Any]:
        through = self.model == "centralized"
        events = self.sweep.sent * len(self.publishers) if through else 0
        deliveries = received if through else 0
        cpu_s = (39 * events + 7.1 * deliveries) / 1e6 + 0.01
        verdict = self.sweep.fidelity.get((self.model, len(self.network.hosts)), "ok")
        busy = 30.0 if verdict == "ok" else 91.0
        return {
            "measured_s": self.sweep.sent * INTERVAL_S,
            "processors": {
                "roles": {"broker": cpu_s, "publishers": 0.9, "subscribers": 1.7}
            },
            "broker": {
                "cpu_s": cpu_s,
                "events": events,
                "deliveries": deliveries,
                "tx_bytes": deliveries * _BYTES,
                "rx_bytes": events * _BYTES,
                "tx_packets": deliveries,
                "rx_packets": events,
            },
            "probes": {"ping_rtt_us": {"p50": 21.0, "max": 40.0}},
            "cpu_pressure": {"some_percent": 7.5},
            "fidelity": {
                "verdict": verdict,
                "reason": None if verdict == "ok" else "processors were 91 % busy",
                "pressure_percent": 7.5,
                "utilisation_percent": busy,
                "wait_us": 20.0,
            },
        }


def truth_us(model: str, hosts: int) -> float:
    """The median that latencies of a run scatter about."""
    centralized = model == "centralized"
    return 380 + 18 * hosts + 0.6 * hosts**1.5 if centralized else 320 + 9 * hosts


def address(host: int) -> str:
    """Of the host with this index, as Mininet gives it."""
    return f"10.0.{(host + 1) // 256}.{(host + 1) % 256}"


def write_details(path: Path, header: str, rows: Iterable[Sequence[Any]]) -> None:
    """A details file, the same bytes for the same rows."""
    text = io.StringIO()
    text.write(f"{header}\n")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def _lateness_us(late_ns: Whole) -> dict[str, float]:
    us = late_ns / 1e3
    return {
        "p50": round(float(np.percentile(us, 50)), 1),
        "p99": round(float(np.percentile(us, 99)), 1),
        "max": round(float(us.max()), 1),
    }
