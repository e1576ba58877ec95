"""Our roles under asyncio: ``await publisher.publish_event`` and ``async for`` over a
subscriber or ``await subscriber.receive``, each in an event loop of its own process; the broker is
the console script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.events import Event
from pubsub_perf.bench.systems.ours import broker as broker
from pubsub_perf.bench.systems.ours import port_names as port_names
from pubsub_perf.bench.systems.ours import shared_memory
from pubsub_perf.bench.systems.ours import unavailable as unavailable
from pubsub_perf.bench.workload.job import BURST, Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_publisher import Publisher as ThreadedPublisher
from pubsub_publisher.aio import Publisher
from pubsub_subscriber import Subscriber as ThreadedSubscriber
from pubsub_subscriber.aio import Subscriber

_ADDRESS: Final = "127.0.0.1"
_READY_S: Final = 30.0
_TIMEOUT_S: Final = 30.0


def publish(job: Job, run: JobRun) -> JobResult:
    return asyncio.run(_publish(job, run))


def subscribe(job: Job, run: JobRun) -> JobResult:
    return asyncio.run(_subscribe(job, run))


async def _publish(job: Job, run: JobRun) -> JobResult:
    if job.sending != "event" or job.receiving == "batches":
        raise ConfigError("under asyncio only single events are measured")
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
        **shared_memory(job, ThreadedPublisher),
    ) as publisher:
        await publisher.wait_for_subscribers(job.subscribers, _READY_S)
        send = _send_paced if job.kind == "latency" else _send_fast
        for _ in run.parts():  # it blocks the loop, in which nothing else runs
            count, first_ns = await send(job, run, publisher)
            last_ns = time.monotonic_ns()
            await publisher.publish_event(topic, b"." * job.end_bytes)
        return run.found(count, first_ns, last_ns)


async def _send_fast(job: Job, run: JobRun, publisher: Publisher) -> tuple[int, int]:
    topic, payload, send = (
        job.topic,
        b"." * job.payload_bytes,
        publisher.publish_event,
    )
    count = 0
    first_ns = run.begin()
    while run.goes_on():
        for _ in range(BURST):
            await send(topic, payload)
        count += BURST
    return count, first_ns


async def _send_paced(job: Job, run: JobRun, publisher: Publisher) -> tuple[int, int]:
    rest = bytes(job.payload_bytes - 8)
    for _ in run.paced():
        stamp_ns = time.monotonic_ns()
        await publisher.publish_event(job.topic, stamp_ns.to_bytes(8, "little") + rest)
        await asyncio.sleep(0)
    return run.paced_count, run.begin_ns


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
        **shared_memory(job, ThreadedSubscriber),
    ) as subscriber:
        events: AsyncIterable[Event] = subscriber
        if job.receiving == "receive":
            events = _received(subscriber)
        for _ in run.parts():
            found = await _take(job, run, events)
        return found


async def _take(job: Job, run: JobRun, events: AsyncIterable[Event]) -> JobResult:
    end = job.end_bytes
    timed = job.kind == "latency"
    count = first_ns = 0
    async for event in events:
        now_ns = time.monotonic_ns() if timed else 0
        if len(event.payload) == end:
            break
        if not count:
            first_ns = event.received_ns
        elif timed:
            run.note(now_ns, event)
        count += 1
    return run.found(count, first_ns, time.monotonic_ns())


async def _received(subscriber: Subscriber) -> AsyncIterator[Event]:
    while (event := await subscriber.receive(_TIMEOUT_S)) is not None:
        yield event
