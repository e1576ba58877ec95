"""Subscribers that are connected to a fake broker or publisher."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from pubsub_common.errors import NotReady
from pubsub_common.protocol.messages import Model
from pubsub_subscriber import Subscriber
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher

NewSubscriber = Callable[..., Subscriber]

_WAIT_S: Final = 60.0

BOTH_MODELS = pytest.mark.parametrize("model", ["centralized", "decentralized"])


def connect(
    broker: FakeBroker,
    model: Model,
    publisher: RawPublisher,
    new: NewSubscriber,
    *topics: str,
    **options: Any,
) -> Subscriber:
    """A subscriber that has sent its topics to ``publisher``. In the centralized model
    ``publisher`` is both the broker's port for events and the publisher behind it."""
    broker.model = model
    if model == "centralized":
        broker.ports = dict.fromkeys(topics or ("A",), publisher.port)
        broker.publishers = [publisher.hidden_info]
    else:
        broker.publishers = [publisher.info]
    subscriber = new(*topics, **options)
    publisher.get_ready(len(topics or ("A",)))
    return subscriber


def become_ready(subscriber: Subscriber, *publishers: RawPublisher) -> None:
    """Answer the subscriber's requests until it is ready: on a busy machine it repeats
    some, and takes the replies to the last ones only."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        for publisher in publishers:
            publisher.answer_waiting()
        try:
            subscriber.wait_until_ready(0.05)
            return
        except NotReady:
            if time.monotonic() > deadline:
                raise
