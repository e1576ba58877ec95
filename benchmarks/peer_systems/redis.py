"""Redis: its publish and subscribe commands, from redis-py with hiredis."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from peer_systems.registry import PEER_SYSTEMS, READY_S, which
from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.ports import wait_for_port
from pubsub_perf.bench.workload.scenario import Scenario

# Each plain publish waits for the server's answer; a pipeline waits once for so many.
_PIPELINE: Final = 100
_POLL_S: Final = 0.02


def unavailable(*, brokered: bool) -> str | None:
    return PEER_SYSTEMS["redis"].unavailable(brokered=brokered)


def port_names() -> tuple[str, ...]:
    return ("broker",)


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    program = which("redis-server")
    assert program is not None
    command = [program, "--bind", "127.0.0.1", "--port", str(ports["broker"])]
    command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    # A subscriber that is slower than the publisher must not be cut off.
    return [*command, "--client-output-buffer-limit", "pubsub 0 0 0"]


def publish(job: Job, run: JobRun) -> JobResult:
    client = _client(job)
    topic = job.topic
    while client.pubsub_numsub(topic)[0][1] < job.subscribers:
        time.sleep(_POLL_S)
    payload = b"." * job.payload_bytes
    rest = payload[8:]
    now_ns = time.monotonic_ns
    send = client.publish
    pipeline = client.pipeline(transaction=False)
    add = pipeline.publish

    def burst(count: int) -> None:
        for _ in range(count):
            add(topic, payload)
            if len(pipeline) == _PIPELINE:
                pipeline.execute()

    def one() -> None:
        send(topic, now_ns().to_bytes(8, "little") + rest)

    for _ in run.parts():
        count, first_ns = run.send_all(burst, one)
        pipeline.execute()
        last_ns = now_ns()
        send(topic, b"." * job.end_bytes)
    found = run.found(count, first_ns, last_ns)
    client.close()
    return found


def subscribe(job: Job, run: JobRun) -> JobResult:
    client = _client(job)
    pubsub = client.pubsub()
    pubsub.subscribe(job.topic)
    messages = pubsub.listen()
    next(messages)  # that it has subscribed
    for _ in run.parts():
        found = _take(job, run, messages)
    pubsub.close()
    client.close()
    return found


def _take(job: Job, run: JobRun, messages: Any) -> JobResult:
    end = job.end_bytes
    count = first_ns = 0
    add = run.latencies_ns.append if job.kind == "latency" else None
    now_ns = time.monotonic_ns
    for message in messages:
        data = message["data"]
        if len(data) == end:
            break
        if not count:
            first_ns = now_ns()
        elif add is not None:
            add(now_ns() - int.from_bytes(data[:8], "little"))
        count += 1
    return run.found(count, first_ns, now_ns())


def _client(job: Job) -> Any:
    redis: Any = import_module("redis")
    port = job.ports["broker"]
    wait_for_port(port, READY_S)
    return redis.Redis("127.0.0.1", port, socket_timeout=None)
