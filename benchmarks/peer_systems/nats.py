"""NATS: core publish/subscribe through nats-server, from nats-py.

nats-py knows asyncio only. Its loop stands still at the barrier, and while a publisher
that keeps a rate waits: it has nothing else to do then.
"""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from peer_systems.registry import PEER_SYSTEMS, READY_S, which
from pubsub_perf.bench.workload.job import BURST, Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.ports import wait_for_port
from pubsub_perf.bench.workload.scenario import Scenario

# A subscriber that is slower than the publisher must neither be cut off nor lose any.
_CONFIG: Final = """\
max_pending: 8589934592
write_deadline: "120s"
max_payload: 8388608
"""
# A written message leaves the process within these many turns of the loop, with uvloop
# too, which writes at the end of a turn.
_TURNS: Final = 3
_WRITE_EVERY: Final = 16 * BURST
_RETRY_S: Final = 0.1


def unavailable(*, brokered: bool) -> str | None:
    return PEER_SYSTEMS["nats"].unavailable(brokered=brokered)


def port_names() -> tuple[str, ...]:
    return ("broker",)


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    config = folder / "nats.conf"
    config.write_text(_CONFIG, "utf-8")
    program = which("nats-server")
    assert program is not None
    return [program, "-c", str(config), "-a", "127.0.0.1", "-p", str(ports["broker"])]


def publish(job: Job, run: JobRun) -> JobResult:
    with _runner() as runner:
        client = runner.run(_connect(job))
        runner.run(_wait_for_subscribers(client, job))
        send = _send_fast if job.kind == "throughput" else _send_paced
        for _ in run.parts():
            count, first_ns = runner.run(send(client, job, run))
            last_ns = time.monotonic_ns()
            runner.run(_send_end(client, job))
        runner.run(client.close())
        return run.found(count, first_ns, last_ns)


async def _send_fast(client: Any, job: Job, run: JobRun) -> tuple[int, int]:
    topic = job.topic
    payload = b"." * job.payload_bytes
    send = client.publish
    count = 0
    first_ns = run.begin()
    while run.goes_on():
        for _ in range(BURST):
            await send(topic, payload)
        count += BURST
        # publish() only queues as long as nothing lets the client's writer run. Fewer and
        # larger writes are faster here, for the server too.
        if not count % _WRITE_EVERY:
            await asyncio.sleep(0)
    return count, first_ns


async def _send_paced(client: Any, job: Job, run: JobRun) -> tuple[int, int]:
    """Like `JobRun.send_all`, but within the loop: entering uvloop's loop for each
    message costs more than a message. The waits block the loop: nothing else wants it."""
    rest = bytes(job.payload_bytes - 8)
    for _ in run.paced():
        stamp_ns = time.monotonic_ns()
        await client.publish(job.topic, stamp_ns.to_bytes(8, "little") + rest)
        for _turn in range(_TURNS):
            await asyncio.sleep(0)
    return run.paced_count, run.begin_ns


async def _send_end(client: Any, job: Job) -> None:
    await client.publish(job.topic, b"." * job.end_bytes)
    await client.flush(timeout=60)


async def _wait_for_subscribers(client: Any, job: Job) -> None:
    """Each subscriber asks until it is answered."""
    there: set[bytes] = set()
    all_there = asyncio.Event()

    async def answer(message: Any) -> None:
        there.add(message.data)
        await message.respond(b"")
        if len(there) == job.subscribers:
            all_there.set()

    await client.subscribe(_hello(job), cb=answer)
    await all_there.wait()
    await client.flush()


def subscribe(job: Job, run: JobRun) -> JobResult:
    with _runner() as runner:
        client = runner.run(_connect(job))
        done = asyncio.Event()
        end = job.end_bytes
        count = first_ns = last_ns = 0
        add = run.latencies_ns.append if job.kind == "latency" else None
        now_ns = time.monotonic_ns

        async def take(message: Any) -> None:
            nonlocal count, first_ns, last_ns
            data = message.data
            if len(data) == end:
                last_ns = now_ns()
                done.set()
                return
            if not count:
                first_ns = now_ns()
            elif add is not None:
                add(now_ns() - int.from_bytes(data[:8], "little"))
            count += 1

        # The publisher is not told before the subscription is known to the server.
        runner.run(_listen(client, job, take))
        runner.run(_say_hello(client, job))
        for _ in run.parts():
            runner.run(done.wait())
            done.clear()
            counted, count = count, 0
        found = run.found(counted, first_ns, last_ns)
        runner.run(client.close())
        return found


async def _listen(client: Any, job: Job, take: Any) -> None:
    await client.subscribe(
        job.topic, cb=take, pending_msgs_limit=0, pending_bytes_limit=0
    )
    await client.flush()


async def _say_hello(client: Any, job: Job) -> None:
    errors: Any = import_module("nats.errors")
    deadline = time.monotonic() + 6 * READY_S
    while time.monotonic() < deadline:
        try:
            await client.request(_hello(job), b"%d" % job.index, timeout=1.0)
        except (errors.NoRespondersError, errors.TimeoutError):
            await asyncio.sleep(_RETRY_S)
        else:
            return
    raise TimeoutError("the publisher does not answer")


def _hello(job: Job) -> str:
    return f"hello.{job.topic}"


async def _connect(job: Job) -> Any:
    nats: Any = import_module("nats")
    port = job.ports["broker"]
    wait_for_port(port, READY_S)
    return await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False)


def _runner() -> asyncio.Runner:
    try:
        uvloop: Any = import_module("uvloop")
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
