"""Our roles through their public API: `Publisher.publish_event` and `publish_events`, iteration
over a `Subscriber`, `receive` and `batches`; the broker is the console script."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Final, cast

from pubsub_common.protocol.events import Event
from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.scenario import Scenario
from pubsub_perf.hosts.interface import script
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

_ADDRESS: Final = "127.0.0.1"
_READY_S: Final = 30.0
# As many events as a program would have at hand that publishes many.
_LIST: Final = 1024
_UNLIMITED: Final = 1_000_000
# Longer than any pause of a run: the call waits as it would without events.
_TIMEOUT_S: Final = 30.0
# A broker that drops may drop the end of a run, too.
_END_AGAIN_S: Final = 0.5


def unavailable(*, brokered: bool) -> str | None:
    return None


def port_names() -> tuple[str, ...]:
    return ("control", "publisher")


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    """Without ``brokered`` too: it is the registry. A broker that drops has long queues, so
    that a run loses nothing; one that blocks has those of every user."""
    command = [script("pubsub-broker"), "-i", f"--bind={_ADDRESS}"]
    command.append(f"--port={ports['control']}")
    if scenario.overflow == "block":
        command.append("--overflow=block")
    else:
        command.append(f"--queue-limit={_UNLIMITED}")
    if scenario.forwarders > 1:
        command.append(f"--forwarders={scenario.forwarders}")
    return [*command, "--centralized"] if scenario.brokered else command


def shared_memory(job: Job, role: Callable[..., object]) -> dict[str, Any]:
    """The arguments of a role for large events. Another checkout may not know them."""
    if "shared_memory" not in inspect.signature(role).parameters:
        return {}
    options: dict[str, Any] = {"shared_memory": "on" if job.shared_memory else "off"}
    if job.receiving == "views" and job.part == "subscriber":
        options["views"] = True
    return options


def settling(shared: Callable[[], int]) -> Callable[[], bool]:
    """Whether events have begun to go by shared memory."""
    return lambda: shared() > 0


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
        **shared_memory(job, Publisher),
    ) as publisher:
        publisher.wait_for_subscribers(job.subscribers, _READY_S)
        payload = b"." * job.payload_bytes
        rest = payload[8:]
        send = publisher.publish_event
        now_ns = time.monotonic_ns

        def burst(count: int) -> None:
            for _ in range(count):
                send(topic, payload)

        def one() -> None:
            stamp_ns = now_ns()
            send(topic, stamp_ns.to_bytes(8, "little") + rest)

        payloads = [payload] * _LIST

        def batch(_count: int) -> None:
            publisher.publish_events(payloads, topic=topic)

        # Another checkout may not know how many there were.
        shared = partial(getattr, publisher, "shared_memory_events", None)
        if job.shared_memory and shared() is not None:
            run.settled = settling(shared)
        for _ in run.parts():
            before = shared()
            if job.sending == "generator":
                first_ns = now_ns()
                count = publisher.publish_events(run.stream(payload), topic=topic)
            elif job.sending == "list":
                count, first_ns = run.send_all(batch, one, _LIST)
            else:
                count, first_ns = run.send_all(burst, one)
            last_ns = now_ns()
            by_memory = None if before is None else shared() - before
            end = b"." * run.end_bytes
            send(topic, end)
            found = run.found(count, first_ns, last_ns, shared=by_memory)
            while not run.is_over(_END_AGAIN_S):
                send(topic, end)
        return found


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
        **shared_memory(job, Subscriber),
    ) as subscriber:
        events: Iterable[Event] = subscriber
        if job.receiving == "receive":
            # None would mean that nothing came: it has no payload, and that ends the run.
            received = map(subscriber.receive, repeat(_TIMEOUT_S))
            events = cast("Iterator[Event]", received)
        take = _timed if job.kind == "latency" else _counted
        for _ in run.parts():
            if job.receiving == "batches":
                found = _subscribe_batches(job, run, subscriber)
            else:
                found = take(job, run, events)
        return found


def _counted(job: Job, run: JobRun, events: Iterable[Event]) -> JobResult:
    usual, end = job.payload_bytes, run.end_bytes
    count = first_ns = 0
    for event in events:
        if len(event.payload) != usual:
            if len(event.payload) == end:
                break
            continue
        if not count:
            first_ns = event.received_ns
        count += 1
    return run.found(count, first_ns, time.monotonic_ns())


def _timed(job: Job, run: JobRun, events: Iterable[Event]) -> JobResult:
    usual, end = job.payload_bytes, run.end_bytes
    # As few steps as with plain pyzmq: other subscribers wait for the processor.
    felt, inside = run.latencies_ns.append, run.inside_ns.append
    count = first_ns = now_ns = 0
    for event in events:
        now_ns = time.monotonic_ns()
        if len(event.payload) != usual:
            if len(event.payload) == end:
                break
            continue
        if count:
            felt(now_ns - int.from_bytes(event.payload[:8], "little"))
            inside(event.received_ns - event.published_ns)
        else:
            first_ns = now_ns
        count += 1
    return run.found(count, first_ns, now_ns)


def _subscribe_batches(job: Job, run: JobRun, subscriber: Subscriber) -> JobResult:
    usual, end = job.payload_bytes, run.end_bytes
    count = first_ns = 0
    for batch in subscriber.batches():
        if not count:
            first_ns = time.monotonic_ns()
        count += len(batch)
        last = len(batch.payloads[-1])
        if last != usual:
            count -= 1
            if last == end:
                break
    return run.found(count, first_ns, time.monotonic_ns())
