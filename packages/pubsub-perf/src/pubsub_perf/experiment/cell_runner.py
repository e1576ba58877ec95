"""Runs one cell: a system of roles on the hosts of one network.

The steps are in the function `run_experiment`: start broker, subscribers and publishers, wait
until all are attached, begin, wait for the files.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pubsub_common.files import (
    NotReadable,
    read_file,
    reason_of,
    write_atomically,
)
from pubsub_perf.experiment import cell_record, environment, role_command_lines
from pubsub_perf.experiment.broker_check import Clients
from pubsub_perf.experiment.cell_brokers import CellBrokers
from pubsub_perf.experiment.cpu_monitor import CpuMonitor
from pubsub_perf.experiment.role_keys import RoleKeys
from pubsub_perf.experiment.role_processes import Processes, Role
from pubsub_perf.folder_files import MAX_RECORD_BYTES, make_folder
from pubsub_perf.hosts import HostError, Hosts
from pubsub_perf.plan.cases import CLOCK, Case
from pubsub_perf.results.cell_fields import STARTED

FORMAT: Final = 1
RECORD: Final = "cell.json"
_LEFTOVERS: Final = (
    "subscriber-*.csv",
    f"{role_command_lines.LOGS}/*.log",
    f"{role_command_lines.EVENTS}/*.csv.gz",
    f"{role_command_lines.REPORTS}/*.json",
)
# From "all are ready" to the first event: the time to notify every publisher.
_LEAD_NS: Final = 200_000_000
_READY_S: Final = 60.0
_READY_PER_HOST_S: Final = 1.0

Say = Callable[[str], None]


def run_cell(
    case: Case, hosts: Hosts, folder: Path, say: Say, keys: RoleKeys | None = None
) -> dict[str, Any]:
    """Run ``case`` and leave its data files, its logs and ``cell.json`` in
    ``folder``; returns the record with the ``outcome`` ``ok`` or ``failed``.

    Until the end, the record has the outcome "started", so the files of an interrupted run are
    ignored. ``hosts`` is not entered yet. ``say`` is called with each step. ``keys``
    are for a secure case.

    Raises:
        OSError: the record cannot be written.
    """
    started = datetime.datetime.now(datetime.UTC)
    begin = time.monotonic()
    record: dict[str, Any] = {
        "format": FORMAT,
        "model": case.model,
        "network": case.network.name,
        "topology": case.network.describe(),
        "run": case.run,
        "scenario": case.scenario,
        "parameters": case.parameters(),
        "warmup": {"rule": "fixed", "events": case.load.warmup_events},
        "clock": {"name": CLOCK, "shared": True, "error_bound_ns": 0},
        "started": started.isoformat(timespec="seconds"),
        **environment.describe(),
        "outcome": STARTED,
    }
    write_record(folder, record)
    try:
        logs = prepare(folder)
        say("building the network")
        with hosts:
            run_experiment(case, hosts, folder, logs, say, record, keys)
            say("taking the network down")
        record |= {"outcome": "ok", "reason": None}
    except (HostError, OSError) as error:
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        record |= {"outcome": "failed", "reason": why}
    record |= cell_record.counts_of(case, folder, record)
    record["duration_s"] = round(time.monotonic() - begin, 3)
    _finish(folder, record)
    return record


def _finish(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a cell that has ended. If the disk is full, the data are removed to
    make room, because they are useless without a record, and the cell has failed.

    Raises:
        OSError: the record still cannot be written.
    """
    try:
        write_record(folder, record)
    except OSError as error:
        if record["outcome"] == "ok":
            record |= {
                "outcome": "failed",
                "reason": f"{folder / RECORD}: {error.strerror or error}",
            }
        _clear(folder)
        write_record(folder, record)


def prepare(folder: Path) -> Path:
    """Make or clear the folder of a cell: files of an earlier run are removed, except for the
    record. Returns the folder for logs.

    Raises:
        OSError: a file cannot be removed, or a folder in it is a link.
    """
    for name in (
        role_command_lines.LOGS,
        role_command_lines.EVENTS,
        role_command_lines.REPORTS,
    ):
        make_folder(folder, name)
    _clear(folder)
    return folder / role_command_lines.LOGS


def _clear(folder: Path) -> None:
    for pattern in _LEFTOVERS:
        for path in folder.glob(pattern):
            if path.is_symlink() or not path.is_dir():
                path.unlink()


def run_experiment(
    case: Case,
    hosts: Hosts,
    folder: Path,
    logs: Path,
    say: Say,
    record: dict[str, Any],
    keys: RoleKeys | None,
) -> None:
    """Run the experiment; its results go into ``record``.

    Raises:
        HostError: a role failed, or the network is not as requested.
    """
    with CellBrokers(case, hosts, keys) as brokers:
        _run_roles(case, hosts, folder, logs, say, record, keys, brokers)


def _run_roles(
    case: Case,
    hosts: Hosts,
    folder: Path,
    logs: Path,
    say: Say,
    record: dict[str, Any],
    keys: RoleKeys | None,
    brokers: CellBrokers,
) -> None:
    place = case.placement
    publishers_at = [hosts.address(i) for i in place.publishers]
    subscribers_at = [hosts.address(i) for i in place.subscribers]
    record["hosts"] = hosts.describe() | {
        **brokers.describe(),
        "publishers": publishers_at,
        "subscribers": subscribers_at,
    }
    say("checking the network")
    record["probes"] = hosts.check(_pairs(case))
    lines = brokers.command_lines()
    broker_at = brokers.for_clients
    for i, address in enumerate(publishers_at):
        line = role_command_lines.publisher(case, i, address, broker_at, keys)
        lines[f"publisher-{i}"] = line
    for i, address in enumerate(subscribers_at):
        line = role_command_lines.subscriber(case, i, address, broker_at, keys)
        lines[f"subscriber-{i}"] = line
    record["commands"] = lines

    with Processes(hosts, folder, logs) as processes:
        say("starting the roles")
        brokers.start(processes)
        subscribers = [
            processes.start(f"subscriber-{i}", host, lines[f"subscriber-{i}"])
            for i, host in enumerate(place.subscribers)
        ]
        publishers = [
            processes.start(f"publisher-{i}", host, lines[f"publisher-{i}"], piped=True)
            for i, host in enumerate(place.publishers)
        ]
        say("waiting until all are attached")
        ready_s = _READY_S + _READY_PER_HOST_S * len(case.network.hosts)
        processes.wait_for_line(publishers, b"ready", ready_s)
        say("checking the broker")
        brokers.check(
            Clients(
                [("publisher", address) for address in publishers_at]
                + [("subscriber", address) for address in subscribers_at]
            )
        )
        say("measuring")
        monitor = CpuMonitor(processes.pids())
        brokers.begin()
        monitor.begin()
        late = _begin_and_wait(case, processes, publishers, subscribers, monitor)
        monitor.end()
        brokers.end(monitor, record)
        cell_record.processors(monitor, record)
        processes.end([*late, *publishers])
        brokers.end_processes(processes)
        processes.check()


def _begin_and_wait(
    case: Case,
    processes: Processes,
    publishers: list[Role],
    subscribers: list[Role],
    monitor: CpuMonitor,
) -> list[Role]:
    """Send the start time to the publishers, and wait until every subscriber has written
    its file and every publisher has ended. Returns the subscribers that missed the
    deadline; they are stopped, and write the events that they have."""
    start_ns = time.monotonic_ns() + _LEAD_NS
    for publisher, phase_ns in zip(publishers, case.phases_ns(), strict=True):
        assert publisher.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `check` reports the reason
            publisher.process.stdin.write(b"%d\n" % (start_ns + phase_ns))
            publisher.process.stdin.flush()
    deadline = start_ns / 1e9 + case.load.deadline_s

    def late() -> bool:
        monitor.sample()
        return time.monotonic() > deadline

    processes.wait([*subscribers, *publishers], late)
    return [role for role in subscribers if role.process.poll() is None]


def _pairs(case: Case) -> list[tuple[int, int]]:
    """The pairs of communicating hosts: every client with every broker; decentralized also
    every publisher with every subscriber."""
    place = case.placement
    clients = (*place.publishers, *place.subscribers)
    pairs = [(b, i) for b in place.brokers for i in clients]
    if place.etcd is not None:
        pairs += [(b, place.etcd) for b in place.brokers]
        # Host 0 asks the others for their status.
        pairs += [(0, b) for b in place.brokers[1:]]
    if case.model == "decentralized":
        pairs += [(p, s) for p in place.publishers for s in place.subscribers]
    return pairs


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``cell.json`` atomically."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2)
    write_atomically(folder / RECORD, text + b"\n", follow_link=False)


def read_record(folder: Path, out: Path) -> dict[str, Any] | None:
    """The ``cell.json`` of a cell's folder in ``out``; None if it is missing or
    damaged."""
    try:
        record = msgspec.json.decode(
            read_file(folder / RECORD, MAX_RECORD_BYTES, within=out)
        )
    except (
        *(FileNotFoundError, NotADirectoryError, NotReadable),
        *(msgspec.DecodeError, RecursionError),
    ):
        return None
    return record if isinstance(record, dict) else None
