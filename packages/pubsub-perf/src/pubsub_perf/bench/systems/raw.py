"""Plain pyzmq, the tightest loops that carry the same frame: the yardstick.

Throughput sends one ready-made frame again and again and only counts what arrives.
Latency packs a time into each and unpacks it. Nothing is numbered, counted or checked.
With keys it measures the cost of libzmq's encryption alone, without checks of clients.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from pubsub_common.protocol.events import encode_event
from pubsub_common.security.keys import (
    configure_curve_client,
    configure_curve_server,
    load_client_keys,
)
from pubsub_perf.bench.workload.job import TOPIC, Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.scenario import Scenario

_QUEUE = 10_000
# The frame without topic and payload is as long as with our roles.
_ADDRESS = "127.0.0.1:5556"
_SESSION = 2**52
_STAMP_AT = len(TOPIC) + 1


def unavailable(*, brokered: bool) -> str | None:
    return None


def port_names() -> tuple[str, ...]:
    return ("publisher", "broker")


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    """libzmq's proxy in a Python process, connected like our broker."""
    if not scenario.brokered:
        return None
    run = [sys.executable, "-m", "pubsub_perf.bench.raw_proxy"]
    return [*run, str(ports["publisher"]), str(ports["broker"])]


def publish(job: Job, run: JobRun) -> JobResult:
    socket = zmq.Context().socket(zmq.XPUB)
    socket.set_hwm(_QUEUE)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    if job.keys is not None:
        configure_curve_server(socket, load_client_keys(job.keys).pair)
    socket.bind(f"tcp://127.0.0.1:{job.ports['publisher']}")
    topic = f"{job.topic}\0".encode()
    waiting = job.subscribers
    while waiting:
        waiting -= socket.recv().startswith(b"\x01ready")
    payload = b"." * job.payload_bytes
    now_ns = time.monotonic_ns
    frame = encode_event(job.topic, _ADDRESS, _SESSION, 1000, now_ns(), payload)
    rest = frame[len(topic) + 8 :]
    send = socket.send

    def burst(count: int) -> None:
        for _ in range(count):
            send(frame)

    def one() -> None:
        stamp_ns = now_ns()
        send(topic + stamp_ns.to_bytes(8, "little") + rest)

    for _ in run.parts():
        count, first_ns = run.send_all(burst, one)
        last_ns = now_ns()
        send(frame + b"!")
    socket.close(linger=-1)
    return run.found(count, first_ns, last_ns)


def subscribe(job: Job, run: JobRun) -> JobResult:
    socket = zmq.Context().socket(zmq.SUB)
    socket.set_hwm(_QUEUE)
    if job.keys is not None:
        pair = load_client_keys(job.keys).pair
        configure_curve_client(socket, pair, pair.public)
    port = job.ports["broker" if job.brokered else "publisher"]
    socket.subscribe(f"{job.topic}\0".encode())
    socket.subscribe(b"ready%d" % job.index)
    socket.connect(f"tcp://127.0.0.1:{port}")
    for _ in run.parts():
        found = _take(job, run, socket.recv)
    return found


def _take(job: Job, run: JobRun, recv: Callable[[], bytes]) -> JobResult:
    first = recv()
    first_ns = time.monotonic_ns()
    size = len(first)
    count = 1
    if job.kind == "latency":
        add = run.latencies_ns.append
        now_ns = time.monotonic_ns
        begin, end = _STAMP_AT, _STAMP_AT + 8
        while len(frame := recv()) == size:
            add(now_ns() - int.from_bytes(frame[begin:end], "little"))
            count += 1
    else:
        while len(recv()) == size:
            count += 1
    return run.found(count, first_ns, time.monotonic_ns())
