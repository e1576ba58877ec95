"""Clients have names, given or not, in every output of the broker."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from support.ports import free_port

from pubsub_broker.monitoring.prometheus import latencies_of
from pubsub_common.client.status_client import ask
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import Status
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_publisher import aio as publisher_aio
from pubsub_subscriber import Subscriber
from pubsub_subscriber import aio as subscriber_aio

from .conftest import WAIT_S, Run, System

HOST = "127.0.0.1"
DEFAULT = rf"[\w.-]+@[\w-]+:{os.getpid()}(#\d+)?"


def names(status: Status) -> set[str]:
    return {client.name for client in status.clients}


def test_a_client_in_python_has_a_name_of_its_own_or_a_given_one(
    system: System,
) -> None:
    system.broker()
    given = system.publisher("A", name="sensors")
    nameless = system.publisher("A", name="")
    first, second = system.subscriber("A"), system.subscriber("A")

    assert (given.name, nameless.name) == ("sensors", "")
    for subscriber in (first, second):
        assert re.fullmatch(DEFAULT, subscriber.name)
    assert first.name != second.name
    told = names(ask(HOST, system.port, WAIT_S))
    assert told == {"sensors", "", first.name, second.name}

    # The name stays when the topics change.
    given.add_topics(["B"])
    status = ask(HOST, system.port, WAIT_S)
    [changed] = [each for each in status.clients if each.name == "sensors"]
    assert changed.topics == ["A", "B"]


def test_two_subscribers_of_one_host_are_two_series(system: System) -> None:
    system.broker(lease_s=1.0)
    publisher = system.publisher("A")
    subscribers = [system.subscriber("A"), system.subscriber("A")]
    publisher.wait_for_subscribers(2, WAIT_S)

    def both_are_there() -> bool:
        publisher.publish_event("A", b"x")
        for subscriber in subscribers:
            assert subscriber.receive(WAIT_S) is not None
        samples = latencies_of(ask(HOST, system.port, WAIT_S))
        found = {each.labels["subscriber"] for each in samples}
        return found == {subscriber.name for subscriber in subscribers}

    wait_for(both_are_there, "both have reported their latency")


def test_a_client_in_asyncio_takes_a_name_too(system: System) -> None:
    async def run() -> set[str]:
        async with (
            publisher_aio.Publisher(
                topics=["A"], broker_port=system.port, bind_port=0, name="p"
            ) as publisher,
            subscriber_aio.Subscriber(
                topics=["A"], broker_port=system.port, name="s"
            ) as subscriber,
        ):
            assert (publisher.name, subscriber.name) == ("p", "s")
            return names(await asyncio.to_thread(ask, HOST, system.port, WAIT_S))

    system.broker()
    assert asyncio.run(run()) == {"p", "s"}


@pytest.mark.parametrize("name", ["two words", "n" * 65, "\x1b[2J"])
def test_a_name_that_is_not_allowed_is_an_error_at_once(name: str) -> None:
    for role in (Publisher, Subscriber):
        with pytest.raises(ConfigError, match="name must have at most 64"):
            role(topics=["A"], name=name)


def test_programs_are_named_in_the_log(run: Run, tmp_path: Path) -> None:
    port = str(free_port())
    run("pubsub-broker", "--port", port)
    where = ("--broker-port", port, "-t", "x")
    run("pubsub-subscriber", *where, "--name", "plot", "--raw")
    default = run("pubsub-subscriber", *where, "--raw")
    log = tmp_path / "pubsub-broker-0.err"

    wait_for(lambda: log.read_text().count(" joined: x\n") == 2, "both are there")

    text = log.read_text()
    assert "subscriber plot at 127.0.0.1 joined: x\n" in text
    of_default = rf"subscriber pubsub-subscriber@[\w-]+:{default.pid} at 127\.0\.0\.1 "
    assert re.search(of_default, text)
