"""Our roles under asyncio: ``await publisher.publish_event`` and ``async for`` over a
subscriber, each in an event loop of its own process; the broker is the console script."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_perf.bench.systems.ours import broker as broker
from pubsub_perf.bench.systems.ours import port_names as port_names
from pubsub_perf.bench.systems.ours import unavailable as unavailable
from pubsub_perf.bench.workload.job import BURST, Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_publisher.aio import Publisher
from pubsub_subscriber.aio import Subscriber

_ADDRESS: Final = "127.0.0.1"
_READY_S: Final = 30.0


def publish(job: Job, run: JobRun) -> JobResult:
    return asyncio.run(_publish(job, run))


def subscribe(job: Job, run: JobRun) -> JobResult:
    return asyncio.run(_subscribe(job, run))


async def _publish(job: Job, run: JobRun) -> JobResult:
    if job.kind != "throughput" or job.batched:
        raise ConfigError(
            "under asyncio only single events are measured, at full speed"
        )
    topic = job.topic
    async with Publisher(
        _ADDRESS,
        [topic],
        bind_port=job.ports["publisher"],
        broker_port=job.ports["control"],
        address=_ADDRESS,
        clock="monotonic",
        overflow="block",
        linger_s=60.0,
    ) as publisher:
        await publisher.wait_for_subscribers(job.subscribers, _READY_S)
        payload = b"." * job.payload_bytes
        send = publisher.publish_event
        run.barrier()  # it blocks the loop, in which nothing else runs
        count = 0
        first_ns = time.monotonic_ns()
        end_ns = first_ns + round(job.seconds * 1e9)
        while time.monotonic_ns() < end_ns:
            for _ in range(BURST):
                await send(topic, payload)
            count += BURST
        last_ns = time.monotonic_ns()
        await send(topic, b"." * job.end_bytes)
        return run.found(count, first_ns, last_ns)


async def _subscribe(job: Job, run: JobRun) -> JobResult:
    async with Subscriber(
        None,
        _ADDRESS,
        [job.topic],
        indefinite=True,
        centralized=job.brokered,
        broker_port=job.ports["control"],
        address=_ADDRESS,
        clock="monotonic",
    ) as subscriber:
        run.barrier()
        end = job.end_bytes
        count = first_ns = 0
        async for event in subscriber:
            if len(event.payload) == end:
                break
            if not count:
                first_ns = event.received_ns
            count += 1
        last_ns = time.monotonic_ns()
        return run.found(count, first_ns, last_ns)
