"""Settings and fixtures of this package's tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.raw_sockets import RawSubscriber

from pubsub_common.net.contexts import terminate_context
from pubsub_publisher import Publisher


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def new_publisher(broker: FakeBroker) -> Iterator[Callable[..., Publisher]]:
    """Makes connected publishers, and disconnects them after the test."""
    with contextlib.ExitStack() as stack:

        def make(*topics: str, **options: Any) -> Publisher:
            options = {
                "broker_address": "127.0.0.1",
                "broker_port": broker.port,
                "bind_port": 0,
                "connect_timeout_s": 30.0,
                "linger_s": 0.0,
                "sleep_period": 0.0,
                **options,
            }
            return stack.enter_context(Publisher(topics=topics or ("A",), **options))

        yield make


@pytest.fixture
def subscribe() -> Iterator[Callable[..., RawSubscriber]]:
    """Connects SUB sockets to publishers, and closes them after the test."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    opened: list[RawSubscriber] = []

    def connect(publisher: Publisher, *topics: str, **options: Any) -> RawSubscriber:
        subscriber = RawSubscriber(context, publisher.address, *topics, **options)
        opened.append(subscriber)
        return subscriber

    yield connect
    for subscriber in opened:
        subscriber.close()
    terminate_context(context)
