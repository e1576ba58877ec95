"""Zenoh: between peers, or between clients through a router, on TCP.

Every subscriber declares a token; the publisher waits until it sees all of them, and at
the end until it sees none.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from peer_systems.registry import PEER_SYSTEMS, READY_S
from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.ports import wait_for_port
from pubsub_perf.bench.workload.scenario import Scenario

WITH_SHARED_MEMORY: Final = "peer_systems.zenoh_shm"
_POLL_S: Final = 0.02
_END_S: Final = 60.0


def unavailable(*, brokered: bool) -> str | None:
    return PEER_SYSTEMS["zenoh"].unavailable(brokered=brokered)


def port_names() -> tuple[str, ...]:
    return ("publisher", "broker")


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    if not scenario.brokered:
        return None
    port = str(ports["broker"])
    return [sys.executable, "-m", "peer_systems.zenoh_router", port]


def publish(job: Job, run: JobRun) -> JobResult:
    zenoh: Any = import_module("zenoh")
    with _open(job) as session:
        publisher = session.declare_publisher(
            job.topic,
            reliability=zenoh.Reliability.RELIABLE,
            congestion_control=zenoh.CongestionControl.BLOCK,
            express=job.kind == "latency",
        )
        while _tokens(session, job) < job.subscribers:
            time.sleep(_POLL_S)
        while not publisher.matching_status.matching:
            time.sleep(_POLL_S)
        payload = b"." * job.payload_bytes
        rest = payload[8:]
        now_ns = time.monotonic_ns
        send = publisher.put

        def burst(count: int) -> None:
            for _ in range(count):
                send(payload)

        def one() -> None:
            send(now_ns().to_bytes(8, "little") + rest)

        for _ in run.parts():
            count, first_ns = run.send_all(burst, one)
            last_ns = now_ns()
            send(b"." * job.end_bytes)
        found = run.found(count, first_ns, last_ns)
        # What still waits in the session would be lost with it.
        deadline = time.monotonic() + _END_S
        while _tokens(session, job) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found


def subscribe(job: Job, run: JobRun) -> JobResult:
    done = threading.Event()
    end = job.end_bytes
    copied = job.receiving == "bytes"
    count = first_ns = last_ns = 0
    add = run.latencies_ns.append if job.kind == "latency" else None
    now_ns = time.monotonic_ns

    def take(sample: Any) -> None:
        nonlocal count, first_ns, last_ns
        payload = sample.payload
        if copied:
            payload = payload.to_bytes()
        if len(payload) == end:
            last_ns = now_ns()
            done.set()
            return
        if not count:
            first_ns = now_ns()
        elif add is not None:
            add(now_ns() - int.from_bytes(bytes(payload)[:8], "little"))
        count += 1

    with _open(job) as session:
        subscriber = session.declare_subscriber(job.topic, take)
        token = session.liveliness().declare_token(f"{_hello(job)}/{job.index}")
        for _ in run.parts():
            done.wait()
            done.clear()
            counted, count = count, 0
        found = run.found(counted, first_ns, last_ns)
        token.undeclare()
        subscriber.undeclare()
        return found


def _hello(job: Job) -> str:
    return f"hello/{job.topic}"


def _tokens(session: Any, job: Job) -> int:
    """How many of the publisher's subscribers are there."""
    return sum(1 for _ in session.liveliness().get(f"{_hello(job)}/*", timeout=1.0))


def _open(job: Job) -> Any:
    shared_memory = job.system == WITH_SHARED_MEMORY
    if job.brokered:
        port = job.ports["broker"]
        wait_for_port(port, READY_S)
        return open_session("client", connect=port, shared_memory=shared_memory)
    port = job.ports["publisher"]
    if job.part == "publisher":
        return open_session("peer", listen=port, shared_memory=shared_memory)
    wait_for_port(port, READY_S)
    return open_session("peer", connect=port, shared_memory=shared_memory)


def open_session(
    mode: str,
    *,
    connect: int | None = None,
    listen: int | None = None,
    shared_memory: bool = False,
) -> Any:
    """A session that only knows the peers at these ports of loopback."""
    zenoh: Any = import_module("zenoh")
    config = zenoh.Config()
    settings: dict[str, object] = {
        "mode": mode,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "connect/endpoints": _endpoints(connect),
        "listen/endpoints": _endpoints(listen),
        "transport/shared_memory/enabled": shared_memory,
    }
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    return zenoh.open(config)


def _endpoints(port: int | None) -> list[str]:
    return [] if port is None else [f"tcp/127.0.0.1:{port}"]
