"""Clients with several independent brokers: they choose one, and move to another one
under the same session when it is gone."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import pytest
from support.broker_process import BrokerProcess
from support.in_event_loop import InEventLoop
from support.ports import free_port
from support.running_roles import WAIT_S, Receiver, RunningBroker, Security, status

from pubsub_common.errors import BrokerUnreachable
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_publisher import aio as publisher_aio
from pubsub_subscriber import Subscriber, aio

RunBroker = Callable[..., RunningBroker]
Receive = Callable[[Subscriber], Receiver]

MANY = 200


def sessions(*ports: int) -> list[set[int]]:
    """The clients of each broker."""
    return [{client.session for client in status(port).clients} for port in ports]


class Clients:
    """A publisher and a subscriber of topic A, which know brokers at several ports."""

    def __init__(
        self,
        ports: Sequence[int],
        security: Security | None,
        *,
        for_asyncio: bool = False,
        **options: Any,
    ) -> None:
        keys: list[Any] = [None, None]
        if security is not None:
            keys = [security.publisher, security.subscriber]
        told: dict[str, Any] = {
            "broker_address": [f"127.0.0.1:{port}" for port in ports],
            "address": "127.0.0.1",
            "topics": ["A"],
        }
        self._stack = stack = contextlib.ExitStack()
        options |= told | {"indefinite": True, "keys": keys[1]}
        told |= {"bind_port": 0, "history": 10 * MANY, "keys": keys[0]}
        subscriber: Any = Subscriber
        publisher: Any = Publisher
        if for_asyncio:
            subscriber = partial(InEventLoop, partial(aio.Subscriber, **options))
            publisher = partial(InEventLoop, partial(publisher_aio.Publisher, **told))
            options = told = {}
        self.subscriber: Subscriber = stack.enter_context(subscriber(**options))
        self.publisher: Publisher = stack.enter_context(publisher(**told))
        self.publisher.wait_for_subscribers(1, WAIT_S)
        self.receiver = Receiver(self.subscriber)
        stack.callback(self.receiver.stop)
        self.published = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sessions(self) -> set[int]:
        """The sessions of both."""
        return {self.publisher.session, self.subscriber.session}

    def publish(self, count: int = MANY) -> None:
        """Publish some more events."""
        for _ in range(count):
            self.publisher.publish_event("A", str(self.published).encode())
            self.published += 1

    def wait_until_at(self, port: int) -> None:
        """The broker at this port knows both, and they know each other."""
        wait_for(lambda: sessions(port) == [self.sessions], "both at the other one")
        self.publisher.wait_for_subscribers(1, WAIT_S)
        self.subscriber.wait_until_ready(WAIT_S)

    def wait_for_all(self) -> None:
        """All published events have arrived, in order."""
        wait_for(
            lambda: len(self.receiver.events) >= self.published, "all events", WAIT_S
        )
        numbers = [event.sequence for event in self.receiver.events]
        assert numbers == list(range(self.published))
        assert self.subscriber.counts().lost == 0


def test_clients_move_when_their_broker_says_farewell(
    run_broker: RunBroker,
    model: Model,
    security: Security | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, port = run_broker(), free_port()
    with Clients([first.port, port], security, recover=True) as clients:
        assert sessions(first.port) == [clients.sessions]
        run_broker(port=port)
        clients.publish()

        with caplog.at_level(logging.WARNING):
            first.stop()
            clients.publish()
            clients.wait_until_at(port)
            clients.publish()

            clients.wait_for_all()
    # The farewell or the end of the connection may come first.
    moved = re.compile(
        rf"the broker at tcp://127.0.0.1:{first.port} "
        r"(is shutting down|closed the connection); "
        rf"moved to the one at tcp://127.0.0.1:{port}"
    )
    said = [text for text in caplog.messages if "broker at" in text]
    assert list(map(bool, map(moved.fullmatch, said))) == [True, True], said


def test_clients_move_when_their_broker_is_killed(
    run_broker: RunBroker,
    model: Model,
    security: Security | None,
) -> None:
    words = ["--indefinite", *(["--centralized"] if model == "centralized" else [])]
    if security is not None:
        words += ["--secure", str(security.folder)]
    first, port = BrokerProcess(*words), free_port()
    with (
        contextlib.closing(first),
        Clients([first.port, port], security, recover=True) as clients,
    ):
        run_broker(port=port)
        clients.publish()

        first.process.kill()
        clients.publish()
        clients.wait_until_at(port)
        clients.publish()

        clients.wait_for_all()


@pytest.mark.parametrize("security", ["plain"], indirect=True)
def test_clients_for_asyncio_move_too(
    run_broker: RunBroker, model: Model, security: Security | None
) -> None:
    first, port = run_broker(), free_port()
    ports = [first.port, port]
    with Clients(ports, security, for_asyncio=True, recover=True) as clients:
        run_broker(port=port)
        clients.publish()

        first.stop()
        clients.wait_until_at(port)
        clients.publish()

        clients.wait_for_all()


@pytest.mark.parametrize("security", ["plain"], indirect=True)
def test_clients_move_when_their_broker_stands_still(
    run_broker: RunBroker, model: Model, security: Security | None
) -> None:
    words = ["--indefinite", *(["--centralized"] if model == "centralized" else [])]
    first, port = BrokerProcess(*words), free_port()
    with (
        contextlib.closing(first),
        Clients([first.port, port], security, recover=True) as clients,
    ):
        run_broker(port=port)
        clients.publish()

        first.process.send_signal(signal.SIGSTOP)
        clients.publish()
        clients.wait_until_at(port)
        clients.publish()

        clients.wait_for_all()


def test_the_emptier_broker_is_taken(
    run_broker: RunBroker, stack: contextlib.ExitStack, security: Security | None
) -> None:
    keys = None if security is None else security.publisher
    ports = [run_broker().port for _ in range(2)]
    told = [f"127.0.0.1:{port}" for port in ports]

    def publisher(where: Any) -> Publisher:
        return stack.enter_context(
            Publisher(where, ["A"], bind_port=0, address="127.0.0.1", keys=keys)
        )

    for _ in range(4):
        publisher(told[0])
    moved = publisher(told)

    assert moved.broker_address == "127.0.0.1"
    assert sessions(ports[1]) == [{moved.session}]


def test_a_broker_that_is_not_there_does_not_matter(
    run_broker: RunBroker, security: Security | None
) -> None:
    ports = [free_port(), run_broker().port, free_port()]
    with Clients(ports, security) as clients:
        assert sessions(ports[1]) == [clients.sessions]


def test_when_none_answers_all_are_named() -> None:
    ports = [free_port(), free_port()]
    names = [f"127.0.0.1:{port}" for port in ports]
    subscriber = Subscriber(
        broker_address=",".join(names),
        topics=["A"],
        address="127.0.0.1",
        connect_timeout_s=0.2,
    )
    said = f"no broker answered at tcp://{names[0]}, tcp://{names[1]} within 0.2 s"
    with pytest.raises(BrokerUnreachable, match=f"{said}: the connection is refused"):
        subscriber.configure()
