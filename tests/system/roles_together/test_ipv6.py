"""Systems with IPv6 connections only, with and without keys, in both models."""

from __future__ import annotations

import re
from collections.abc import Callable

from support.ipv6 import needs_ipv6
from support.running_roles import WAIT_S, Program, RunningBroker, Security

from pubsub_common.client.status_client import ask
from pubsub_common.protocol.endpoints import host_of, port_of
from pubsub_common.protocol.messages import ClientStatus, Model
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

pytestmark = needs_ipv6

_COUNT = 200
_HERE = "::1"


def _clients(port: int, security: Security | None) -> list[ClientStatus]:
    """The clients that the broker at ``port`` knows."""
    keys = None if security is None else security.keys
    return ask(f"[{_HERE}]", port, WAIT_S, keys).clients


def test_every_event_arrives(
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
) -> None:
    broker = run_broker(bind=_HERE, forwarders=2)
    assert broker.broker.address == "[::1]"
    source = new_publisher(broker.port, "A", "B", broker_address=_HERE, history=_COUNT)
    sink = new_subscriber(
        broker.port,
        *("A", "+"),
        broker_address="[0::1]",
        recover=True,
        max_event_count=_COUNT,
    )
    sink.wait_until_ready(WAIT_S)
    source.wait_for_subscribers(1, WAIT_S)

    for number in range(_COUNT):
        source.publish_event("AB"[number % 2], str(number))
    events = list(sink)

    of_a = [event.payload for event in events if event.topic == "A"]
    assert of_a == [b"%d" % number for number in range(0, _COUNT, 2)]
    assert len(events) == _COUNT
    assert {host_of(event.publisher) for event in events} == {"[::1]"}
    assert sink.counts().lost == 0


def test_a_broker_that_comes_back_is_found(
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    security: Security | None,
) -> None:
    broker = run_broker(bind=_HERE)
    source = new_publisher(broker.port, broker_address=_HERE)
    sink = new_subscriber(broker.port, broker_address=_HERE)
    broker.stop()
    broker = run_broker(bind=_HERE, port=broker.port)
    wait_for(lambda: len(_clients(broker.port, security)) == 2, "both to come back")
    sink.wait_until_ready(WAIT_S)
    source.wait_for_subscribers(1, WAIT_S)
    source.publish_event("A", "x")
    assert next(iter(sink)).payload == b"x"


def test_programs_tell_each_other_by_ipv6(
    model: Model, run: Callable[..., Program], security: Security | None
) -> None:
    words = ["-c"] if model == "centralized" else []
    broker = run(
        *("pubsub-broker", "-i", "--bind=[::1]", "--port=0", "--http=[::1]:0", *words)
    )
    broker.says("page: http://[::1]:")
    line = next(
        line for line in broker.err.splitlines() if f"{model} broker on" in line
    )
    where = line.split(" on ")[1].split(",")[0]
    assert where.startswith("[::1]:")
    subscriber = run("pubsub-subscriber", "-b", where, "-t", "A", "-m", 5, *words)
    broker.says("joined: A")
    assert re.search(r"subscriber \S+ at \[::1\]", broker.err)
    publisher = run(
        *("pubsub-publisher", "-b", where, "-t", "A", "-m", 5, "-s", 0, "-bp", 0)
    )

    assert subscriber.wait() == 0
    assert publisher.wait() == 0
    assert subscriber.out.count("A [::1]:") == 5
    assert all(
        client.address.startswith("[::1]")
        for client in _clients(port_of(where), security)
    )


def test_a_port_that_is_taken_is_one_line(
    run_broker: Callable[..., RunningBroker], run: Callable[..., Program]
) -> None:
    port = run_broker(bind=_HERE).port
    second = run("pubsub-broker", "-i", f"--bind={_HERE}", f"--port={port}")

    assert second.wait() == 1
    what = f"cannot listen on [::1]:{port}: Address already in use"
    assert second.complaint.startswith(what)
