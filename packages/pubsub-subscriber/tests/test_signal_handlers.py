"""What a signal handler may do at any line of a call that it interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from support.connected_subscribers import connect
from support.fake_broker import FakeBroker
from support.interrupted_calls import call_with
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

import pubsub_subscriber
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Disconnect
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber

FOLDER: Final = str(Path(pubsub_subscriber.__file__).parent)
CALLS: Final[dict[str, Callable[[Subscriber], object]]] = {
    "receive": lambda subscriber: subscriber.receive(WAIT_S),
    "iteration": lambda subscriber: list(islice(subscriber, 2)),
    "batches": lambda subscriber: list(islice(subscriber.batches(), 2)),
    "wait_until_ready": lambda subscriber: subscriber.wait_until_ready(WAIT_S),
}
IN_HANDLERS: Final[dict[str, Callable[[Subscriber], object]]] = {
    "stop": Subscriber.stop,
    "disconnect": Subscriber.disconnect,
    "receive": lambda subscriber: subscriber.receive(0),
    "wait_until_ready": lambda subscriber: subscriber.wait_until_ready(0),
    "counts": lambda subscriber: (subscriber.counts(), repr(subscriber)),
}


@pytest.mark.parametrize("in_handler", IN_HANDLERS)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_hangs_whatever_a_handler_calls(
    broker: FakeBroker,
    new_subscriber: Callable[..., Subscriber],
    new_publisher: Callable[..., RawPublisher],
    call: str,
    in_handler: str,
) -> None:
    def new() -> tuple[RawPublisher, Subscriber]:
        publisher = new_publisher("A")
        return publisher, connect(broker, "decentralized", publisher, new_subscriber)

    publisher, subscriber = new()
    made = 1

    def handle() -> None:
        with contextlib.suppress(PubSubError):  # one clear error is all right
            IN_HANDLERS[in_handler](subscriber)
        publisher.publish("A")  # should it have taken what the call waits for

    def make_call() -> None:
        for _ in range(3):
            publisher.publish("A")
        with contextlib.suppress(PubSubError):  # such as: it was disconnected
            CALLS[call](subscriber)
            while subscriber.receive(0) is not None:
                pass  # so that the next call looks at the socket

    line = 1
    while call_with(handle, line, make_call, FOLDER):
        line += 1
        if in_handler in ("stop", "disconnect"):
            assert ended(in_thread(subscriber.disconnect))
            publisher, subscriber = new()
            made += 1
    assert line > 5
    assert ended(in_thread(subscriber.disconnect))
    wait_for(lambda: len(broker.of(Disconnect)) == made, "each to say goodbye")
