"""Counts, lateness, processors and fidelity of a cell, from the files of its roles; for
``cell.json``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_perf.experiment import role_command_lines
from pubsub_perf.experiment.cpu_monitor import CpuMonitor
from pubsub_perf.experiment.fidelity import MachineLoad, judge
from pubsub_perf.plan.cases import Case

_TOTALS = ("expected", "received", "lost", "duplicated", "reordered")


def processors(monitor: CpuMonitor, record: dict[str, Any]) -> None:
    """Put the load of the measured span into ``record``."""
    load = monitor.load()
    names = list(record["commands"])
    by_role = {
        "broker": _sum(monitor, [n for n in names if n.startswith("broker")]),
        "publishers": _sum(monitor, [n for n in names if n.startswith("publisher-")]),
        "subscribers": _sum(monitor, [n for n in names if n.startswith("subscriber-")]),
    }
    record["measured_s"] = round(monitor.elapsed_s, 3)
    record["processors"] = {"roles": by_role}
    record["cpu_pressure"] = {"some_percent": load.pressure_percent}
    record["fidelity"] = msgspec.to_builtins(load)
    record["broker"] = record.get("broker", {}) | {"cpu_s": by_role["broker"]}


def counts_of(case: Case, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Sent, received and lost events, and faults of these counts."""
    subscribers = [_subscriber(case, i, folder, record) for i in _indexes(case)]
    found: dict[str, Any] = {
        key: sum(item[key] for item in subscribers) for key in _TOTALS
    }
    found |= {"subscribers": subscribers} | _publishers(case, folder, record)
    if "fidelity" in record:
        load = msgspec.convert(record["fidelity"], MachineLoad)
        median_ns = latencies(case, folder).percentile_ns(50)
        verdict, reason = judge(load, None if median_ns is None else median_ns / 1e9)
        found["fidelity"] = {"verdict": verdict, "reason": reason} | record["fidelity"]
    if "broker" in record:
        through = case.model == "centralized"
        found["broker"] = record["broker"] | {
            "events": sum(p["sent"] for p in found["publishers"]) if through else 0,
            "deliveries": found["received"] if through else 0,
        }
    return found


def _indexes(case: Case) -> range:
    return range(len(case.placement.subscribers))


def latencies(case: Case, folder: Path) -> LatencyHistogram:
    """All latencies of a cell we have just run, without its warm-up."""
    files = (folder / role_command_lines.data_file(i) for i in _indexes(case))
    warmup = case.load.warmup_events
    return LatencyHistogram(
        chain.from_iterable(read_latencies_ns(file, warmup) for file in files)
    )


def _subscriber(
    case: Case, index: int, folder: Path, record: dict[str, Any]
) -> dict[str, Any]:
    expected = case.expected(index)
    received = len(read_latencies_ns(folder / role_command_lines.data_file(index), 0))
    report = _report(folder, f"subscriber-{index}")
    return {
        "index": index,
        "host": case.network.hosts[case.placement.subscribers[index]],
        "address": _address(record, "subscribers", index),
        "topics": [case.load.topic_names[case.topic_of(index)]],
        "expected": expected,
        "received": received,
        "lost": expected - received,
        "duplicated": report.get("duplicated", 0),
        "reordered": report.get("reordered", 0),
    }


def _publishers(case: Case, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Sent events and lateness of each publisher, and the lateness of all publishers
    together, from their details."""
    lateness = LatencyHistogram()
    publishers = []
    for index, host in enumerate(case.placement.publishers):
        report = _report(folder, f"publisher-{index}")
        publishers.append(
            {
                "index": index,
                "host": case.network.hosts[host],
                "address": report.get("address")
                or _address(record, "publishers", index),
                "sent": report.get("sent", 0),
                "lateness_us": _in_us(report.get("lateness_ns", {})),
            }
        )
        for late_ns in _lateness_ns(
            folder / role_command_lines.details_file(f"publisher-{index}")
        ):
            lateness.add(late_ns)
    return {"publishers": publishers, "lateness_us": _in_us(lateness.summary_ns())}


def _in_us(summary_ns: Any) -> dict[str, float]:
    return {
        name: round(summary_ns[name] / 1000, 1)
        for name in ("p50", "p99", "max")
        if name in summary_ns
    }


def _address(record: dict[str, Any], role: str, index: int) -> str | None:
    addresses = record.get("hosts", {}).get(role, [])
    return addresses[index] if index < len(addresses) else None


def _report(folder: Path, role: str) -> dict[str, Any]:
    """A role's report; empty if the role failed without one."""
    try:
        found = msgspec.json.decode(
            (folder / role_command_lines.report_file(role)).read_bytes()
        )
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _lateness_ns(path: Path) -> list[int]:
    import gzip

    if not path.is_file():
        return []
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        return [int(sent) - int(due) for _, _, due, sent in rows]


def read_latencies_ns(path: Path, warmup_events: int) -> list[int]:
    """The latencies of a file that a role of ours has written, without the first
    ``warmup_events`` of each publisher and topic. (The report and the analysis go by
    sequence numbers, which differs where warm-up events were lost.)"""
    if not path.is_file():
        return []
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        for publisher, topic, latency in rows:
            seen[publisher, topic] += 1
            if seen[publisher, topic] > warmup_events:
                found.append(round(float(latency) * 1e9))
    return found


def _sum(monitor: CpuMonitor, names: Sequence[str]) -> float | None:
    """None when no process of them is known."""
    known = [cpu_s for name in names if (cpu_s := monitor.cpu_s(name)) is not None]
    return round(sum(known), 4) if known else None
