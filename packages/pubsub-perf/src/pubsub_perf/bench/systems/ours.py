"""Our roles through their public API: `Publisher.publish_event` and iteration over a
`Subscriber`; the broker is the console script."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.hosts.interface import script
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

_ADDRESS: Final = "127.0.0.1"
_READY_S: Final = 30.0
# As many events as a program would have at hand that publishes many.
_LIST: Final = 1024
_UNLIMITED: Final = 1_000_000


def unavailable(*, brokered: bool) -> str | None:
    return None


def port_names() -> tuple[str, ...]:
    return ("control", "publisher")


def broker(ports: dict[str, int], *, brokered: bool, folder: Path) -> list[str] | None:
    """Without ``brokered`` too: it is the registry."""
    command = [script("pubsub-broker"), "-i", f"--bind={_ADDRESS}"]
    command += [f"--port={ports['control']}", f"--queue-limit={_UNLIMITED}"]
    return [*command, "--centralized"] if brokered else command


def publish(job: Job, run: JobRun) -> JobResult:
    topic = job.topic
    with Publisher(
        _ADDRESS,
        [topic],
        bind_port=job.ports["publisher"],
        broker_port=job.ports["control"],
        address=_ADDRESS,
        clock="monotonic",
        keys=job.keys,
        overflow="block",
        linger_s=60.0,
    ) as publisher:
        publisher.wait_for_subscribers(job.subscribers, _READY_S)
        payload = b"." * job.payload_bytes
        send = publisher.publish_event

        def burst(count: int) -> None:
            for _ in range(count):
                send(topic, payload)

        payloads = [payload] * _LIST

        def batch(_count: int) -> None:
            publisher.publish_events(payloads, topic=topic)

        run.barrier()
        if job.batched:
            count, first_ns = run.send_all(batch, lambda: batch(1), _LIST)
        else:
            count, first_ns = run.send_all(burst, lambda: send(topic, payload))
        last_ns = time.monotonic_ns()
        send(topic, b"." * job.end_bytes)
        return run.found(count, first_ns, last_ns)


def subscribe(job: Job, run: JobRun) -> JobResult:
    with Subscriber(
        None,
        _ADDRESS,
        [job.topic],
        indefinite=True,
        centralized=job.brokered,
        broker_port=job.ports["control"],
        address=_ADDRESS,
        clock="monotonic",
        keys=job.keys,
    ) as subscriber:
        run.barrier()
        if job.batched:
            return _subscribe_batches(job, run, subscriber)
        end = job.end_bytes
        count = first_ns = 0
        add = run.latencies_ns.append if job.kind == "latency" else None
        for event in subscriber:
            if len(event.payload) == end:
                break
            if not count:
                first_ns = event.received_ns
            count += 1
            if add is not None and count > 1:
                add(event.received_ns - event.published_ns)
        last_ns = time.monotonic_ns()
        return run.found(count, first_ns, last_ns)


def _subscribe_batches(job: Job, run: JobRun, subscriber: Subscriber) -> JobResult:
    end = job.end_bytes
    count = first_ns = 0
    for batch in subscriber.batches():
        if not count:
            first_ns = time.monotonic_ns()
        count += len(batch)
        if len(batch.payloads[-1]) == end:
            count -= 1
            break
    return run.found(count, first_ns, time.monotonic_ns())
