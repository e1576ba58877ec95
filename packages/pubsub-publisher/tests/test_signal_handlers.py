"""What a signal handler may do at any line of a call that it interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from support.fake_broker import FakeBroker
from support.interrupted_calls import call_with
from support.threads import ended, in_thread

import pubsub_publisher
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Disconnect
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

FOLDER: Final = str(Path(pubsub_publisher.__file__).parent)
CALLS: Final[dict[str, Callable[[Publisher], object]]] = {
    "publish_event": lambda publisher: publisher.publish_event("A", b"1"),
    "publish_events": lambda publisher: publisher.publish_events([b"1", b"2"]),
    "add_topics": lambda publisher: publisher.add_topics(["B"]),
}
IN_HANDLERS: Final[dict[str, Callable[[Publisher], object]]] = {
    "stop": Publisher.stop,
    "disconnect": Publisher.disconnect,
    "publish_event": lambda publisher: publisher.publish_event("A", b"handler"),
    "add_topics": lambda publisher: publisher.add_topics(["C"]),
    "remove_topics": lambda publisher: publisher.remove_topics(["Z"]),
    "wait": lambda publisher: publisher.wait_for_subscribers(1, 0),
}


@pytest.mark.parametrize("in_handler", IN_HANDLERS)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_hangs_whatever_a_handler_calls(
    broker: FakeBroker,
    new_publisher: Callable[..., Publisher],
    call: str,
    in_handler: str,
) -> None:
    publisher = new_publisher("A", "Z", attach_timeout_s=0)
    made = 1

    def handle() -> None:
        with contextlib.suppress(PubSubError):  # one clear error is all right
            IN_HANDLERS[in_handler](publisher)

    def make_call() -> None:
        with contextlib.suppress(PubSubError):  # such as: it was disconnected
            CALLS[call](publisher)

    line = 1
    while call_with(handle, line, make_call, FOLDER):
        line += 1
        if in_handler in ("stop", "disconnect"):
            assert ended(in_thread(publisher.disconnect))
            publisher = new_publisher("A", "Z", attach_timeout_s=0)
            made += 1
    assert line > 5
    assert ended(in_thread(publisher.disconnect))
    wait_for(lambda: len(broker.of(Disconnect)) == made, "each to say goodbye")
