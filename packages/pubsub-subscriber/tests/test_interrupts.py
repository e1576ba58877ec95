"""An exception raised at any line of ours, in the main thread, outside of receive calls:
the object stays usable, or is closed, and nothing is left over."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from support.connected_subscribers import connect
from support.fake_broker import FakeBroker
from support.leftovers import Leftovers
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.messages import Disconnect
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber

NewPublisher = Callable[..., RawPublisher]

# What `__exit__` did not come to close, its finalizer closes.
pytestmark = pytest.mark.filterwarnings("ignore")


class Interrupted(Exception):
    pass


def interrupted(work: Callable[[], object], at: int) -> bool:
    """Do ``work``, with an exception at the ``at``-th line of ours that this thread runs;
    False when there are fewer."""
    left = at

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        code = frame.f_code
        # An exception in a finalizer goes nowhere, and is printed.
        if "/pubsub_" not in code.co_filename or code.co_name == "owner_dropped":
            return None
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(None)
                raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return left <= 0


def test_at_any_line_of_a_block(broker: FakeBroker) -> None:
    """`configure` and `disconnect`, as most programs call them."""

    def block() -> None:
        with Subscriber(topics=["A"], broker_port=broker.port):
            pass

    block()  # modules and objects that are made once
    left = Leftovers()
    for at in itertools.count(1):
        goes_on = interrupted(block, at)
        left.expect_none()
        if not goes_on:
            break
    assert at > 100


def test_at_any_line_of_disconnect(broker: FakeBroker) -> None:
    left = Leftovers()
    for at in itertools.count(1):
        subscriber = Subscriber(topics=["A"], broker_port=broker.port)
        subscriber.configure()
        goodbyes = len(broker.of(Disconnect))
        goes_on = interrupted(subscriber.disconnect, at)

        subscriber.disconnect()
        left.expect_none()
        assert len(broker.farewells(goodbyes + 1)) == goodbyes + 1
        with pytest.raises(PubSubError, match="was disconnected"):
            subscriber.receive(0)
        if not goes_on:
            break


@pytest.mark.parametrize(
    "work",
    [
        lambda subscriber: subscriber.wait_until_ready(0.01),
        lambda subscriber: subscriber.counts(),
        lambda subscriber: subscriber.parse_notification(),
        lambda subscriber: subscriber.setup_notification_polling(),
        lambda subscriber: subscriber.stop() if not subscriber.topics else None,
    ],
    ids=["wait_until_ready", "counts", "parse", "subscribe", "readings"],
)
def test_at_any_line_of_what_takes_a_lock(
    broker: FakeBroker,
    new_subscriber: Callable[..., Subscriber],
    new_publisher: NewPublisher,
    work: Callable[[Subscriber], object],
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    subscriber.wait_until_ready(WAIT_S)
    missing = new_publisher("A")
    broker.tell(joined=[missing.info])
    wait_for(lambda: subscriber._runtime.performer.awaited_replies(), "the news")

    def attempt() -> None:
        try:
            work(subscriber)
        except NotReady:
            return

    for at in itertools.count(1):
        goes_on = interrupted(attempt, at)

        thread = in_thread(attempt)  # finds no lock taken
        assert ended(thread)
        publisher.publish("A", b"%d" % at)
        event = subscriber.receive(WAIT_S)
        assert event is not None
        assert event.payload == b"%d" % at
        if not goes_on:
            break
    assert not subscriber.counts().lost
