"""A broker, and publishers and subscribers of either shell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from support.in_event_loop import InEventLoop
from support.life_program import in_time
from support.running_roles import RunningBroker, registered, status

import pubsub_publisher
import pubsub_publisher.aio
import pubsub_subscriber
import pubsub_subscriber.aio
from pubsub_common.protocol.messages import Model, Role
from pubsub_common.testing import WAIT_S, wait_for


class Life:
    """Makes publishers and subscribers, for threads or for asyncio, with the same
    interface; all end with the test."""

    def __init__(self, model: Model, shell: str, stack: contextlib.ExitStack) -> None:
        self.model = model
        self.shell = shell
        self._stack = stack
        broker = RunningBroker(model)
        stack.callback(lambda: in_time(broker.stop))
        self.broker = broker.broker
        self.port = broker.port

    def new(self, role: str, *topics: str, **options: Any) -> Any:
        """An object that is not configured."""
        options = {"topics": topics or ("a",), "broker_port": self.port, **options}
        if role == "publisher":
            options = {"bind_port": 0, **options}
        package: Any = pubsub_publisher if role == "publisher" else pubsub_subscriber
        name = role.capitalize()
        if self.shell == "threads":
            return getattr(package, name)(**options)
        made = InEventLoop(lambda: getattr(package.aio, name)(**options))
        self._stack.callback(made.close)
        return made

    def publisher(self, *topics: str, **options: Any) -> Any:
        return self.configured(self.new("publisher", *topics, **options))

    def subscriber(self, *topics: str, **options: Any) -> Any:
        return self.configured(self.new("subscriber", *topics, **options))

    def configured(self, each: Any) -> Any:
        self._stack.callback(lambda: in_time(each.disconnect))
        each.configure()
        return each

    def both(self, **options: Any) -> tuple[Any, Any]:
        """A publisher and a subscriber of it that is ready."""
        publisher, subscriber = self.publisher(**options), self.subscriber()
        publisher.wait_for_subscribers(1, WAIT_S)
        return publisher, subscriber

    def registered(self, role: Role) -> int:
        """The number of clients that the broker knows."""
        return len(registered(self.port, role))

    def all_gone(self) -> None:
        """Return when the broker knows no client."""
        wait_for(lambda: not status(self.port).clients, "the end of all clients")


@pytest.fixture(params=["centralized", "decentralized"])
def model(request: pytest.FixtureRequest) -> Model:
    model: Model = request.param
    return model


@pytest.fixture(params=["threads", "asyncio"])
def life(request: pytest.FixtureRequest, model: Model) -> Iterator[Life]:
    with contextlib.ExitStack() as stack:
        yield Life(model, request.param, stack)
