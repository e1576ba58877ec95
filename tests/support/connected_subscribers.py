"""Subscribers that are connected to a fake broker or publisher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from pubsub_common.errors import NotReady
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for
from pubsub_subscriber import Subscriber
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher

NewSubscriber = Callable[..., Subscriber]

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

    def ready() -> bool:
        for publisher in publishers:
            publisher.answer_waiting()
        with contextlib.suppress(NotReady):
            subscriber.wait_until_ready(0.05)
            return True
        return False

    wait_for(ready, "a subscriber that is ready")
