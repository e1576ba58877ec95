"""Mosquitto: MQTT with QoS 0, from paho-mqtt."""

from __future__ import annotations

import select
import socket
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from peer_systems.registry import PEER_SYSTEMS, READY_S, which
from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.job_run import JobRun
from pubsub_perf.bench.workload.ports import wait_for_port
from pubsub_perf.bench.workload.scenario import Scenario

_CONFIG: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
persistence false
log_dest stderr
log_type error
log_type warning
"""
_POLL_S: Final = 0.1


def unavailable(*, brokered: bool) -> str | None:
    return PEER_SYSTEMS["mosquitto"].unavailable(brokered=brokered)


def port_names() -> tuple[str, ...]:
    return ("broker",)


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    config = folder / "mosquitto.conf"
    config.write_text(_CONFIG.format(port=ports["broker"]), "utf-8")
    program = which("mosquitto")
    assert program is not None
    return [program, "-c", str(config)]


def publish(job: Job, run: JobRun) -> JobResult:
    client = _client(job)
    there: set[str] = set()
    client.on_message = lambda client, data, message: there.add(message.topic)
    _subscribe(client, f"hello/{job.topic}/+")
    while len(there) < job.subscribers:
        _turn(client)
    topic = job.topic
    payload = b"." * job.payload_bytes
    rest = payload[8:]
    now_ns = time.monotonic_ns
    send = client.publish

    def burst(count: int) -> None:
        for _ in range(count):
            send(topic, payload)
        # What a full socket did not take waits in the client, without a limit.
        _write_all(client)

    def one() -> None:
        send(topic, now_ns().to_bytes(8, "little") + rest)

    for _ in run.parts():
        count, first_ns = run.send_all(burst, one)
        last_ns = now_ns()
        send(topic, b"." * job.end_bytes)
        _write_all(client)
    found = run.found(count, first_ns, last_ns)
    client.disconnect()
    _write_all(client)
    return found


def subscribe(job: Job, run: JobRun) -> JobResult:
    client = _client(job)
    end = job.end_bytes
    count = first_ns = last_ns = 0
    add = run.latencies_ns.append if job.kind == "latency" else None
    now_ns = time.monotonic_ns

    def take(client: Any, data: Any, message: Any) -> None:
        nonlocal count, first_ns, last_ns
        payload = message.payload
        if len(payload) == end:
            last_ns = now_ns()
            return
        if not count:
            first_ns = now_ns()
        elif add is not None:
            add(now_ns() - int.from_bytes(payload[:8], "little"))
        count += 1

    client.on_message = take
    _subscribe(client, job.topic)
    # Retained: a later publisher gets it too.
    client.publish(f"hello/{job.topic}/{job.index}", b"here", retain=True)
    _write_all(client)
    for _ in run.parts():
        count = last_ns = 0
        while not last_ns:
            _turn(client)
    return run.found(count, first_ns, last_ns)


def _client(job: Job) -> Any:
    """A connected client. No thread serves it: `_turn` does."""
    mqtt: Any = import_module("paho.mqtt.client")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(0)
    port = job.ports["broker"]
    wait_for_port(port, READY_S)
    client.connect("127.0.0.1", port, keepalive=0)
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    deadline = time.monotonic() + READY_S
    while not client.is_connected():
        if time.monotonic() > deadline:
            raise TimeoutError("mosquitto does not answer")
        _turn(client)
    return client


def _subscribe(client: Any, topic: str) -> None:
    acknowledged: list[int] = []
    client.on_subscribe = lambda client, data, number, *_: acknowledged.append(number)
    client.subscribe(topic, qos=0)
    while not acknowledged:
        _turn(client)


def _turn(client: Any) -> None:
    """What `loop_forever` does again and again.

    Raises:
        ConnectionError: the broker has gone.
    """
    if client.loop(_POLL_S):
        raise ConnectionError("mosquitto has closed the connection")


def _write_all(client: Any) -> None:
    while client.want_write():
        select.select([], [client.socket()], [], _POLL_S)
        client.loop_write()
