"""Large events between roles on one host go by shared memory, and mean the same."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from support.running_roles import Gaps, Receiver, RunningBroker

from pubsub_common.defaults import SHARED_MEMORY_FROM
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("iceoryx2") is None,
    reason="needs the extra pubsub-publisher[shm]",
)

LARGE = 4 * SHARED_MEMORY_FROM
USED = "by shared memory"


class Roles:
    """A decentralized broker, and its clients on this host."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.broker = RunningBroker("decentralized")
        stack.callback(self.broker.stop)
        self._options: dict[str, Any] = {
            "broker_address": f"127.0.0.1:{self.broker.port}",
            "topics": ["A"],
        }

    def publisher(self, **options: Any) -> Publisher:
        given = {**self._options, "bind_port": 0, **options}
        return self._stack.enter_context(Publisher(**given))

    def receiver(self, **options: Any) -> Receiver:
        given = {**self._options, "indefinite": True, **options}
        subscriber = self._stack.enter_context(Subscriber(**given))
        receiver = Receiver(subscriber)
        self._stack.callback(receiver.stop)
        return receiver


@pytest.fixture
def roles() -> Iterator[Roles]:
    with contextlib.ExitStack() as stack:
        yield Roles(stack)


def publish_until_used(
    publisher: Publisher, caplog: pytest.LogCaptureFixture, size: int = LARGE
) -> Iterator[bytes]:
    """Publish large events until they go by shared memory, and some more; the payloads."""
    caplog.set_level("INFO")
    lane_used = itertools.count()

    def publish() -> bytes:
        payload = next(lane_used).to_bytes(8) + bytes(size)
        publisher.publish_event("A", payload)
        return payload

    while USED not in caplog.text:
        yield publish()
    for _ in range(100):
        yield publish()


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_large_and_small_events_of_a_stream_arrive_in_order(
    roles: Roles, caplog: pytest.LogCaptureFixture, overflow: str
) -> None:
    gaps = Gaps()
    receivers = [
        roles.receiver(on_gap=gaps.append),
        roles.receiver(on_gap=gaps.append, shared_memory="off"),
    ]
    publisher = roles.publisher(overflow=overflow)
    sent = []
    for payload in publish_until_used(publisher, caplog):
        sent.append(payload)
        for small in (b"small", b"", bytes(SHARED_MEMORY_FROM - 1)):
            publisher.publish_event("A", small)
            sent.append(small)
        wait_for(
            lambda: all(len(each.events) > len(sent) - 200 for each in receivers),
            "the subscribers",
        )

    for receiver in receivers:
        receiver.wait_for_events(len(sent))
        receiver.check_order()
        assert receiver.payloads == sent
    assert gaps == []
