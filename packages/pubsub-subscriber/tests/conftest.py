"""Settings and fixtures of this package's tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher

from pubsub_subscriber import Subscriber


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def new_subscriber(broker: FakeBroker) -> Iterator[Callable[..., Subscriber]]:
    """Makes connected subscribers of the broker's model, and disconnects them after
    the test."""
    with contextlib.ExitStack() as stack:

        def make(*topics: str, **options: Any) -> Subscriber:
            options = {
                "broker_address": "127.0.0.1",
                "broker_port": broker.port,
                "indefinite": "max_event_count" not in options,
                "attach_timeout_s": 0,  # raw publishers answer later, if at all
                **options,
            }
            return stack.enter_context(Subscriber(topics=topics or ("A",), **options))

        yield make


@pytest.fixture
def new_publisher(
    context: zmq.Context[zmq.Socket[bytes]],
) -> Iterator[Callable[..., RawPublisher]]:
    """Makes XPUB sockets that publish, and closes them after the test."""
    opened: list[RawPublisher] = []

    def make(*topics: str, **options: Any) -> RawPublisher:
        options = {"session": len(opened) + 1, **options}
        publisher = RawPublisher(context, *(topics or ("A",)), **options)
        opened.append(publisher)
        return publisher

    yield make
    for publisher in opened:
        publisher.close()
