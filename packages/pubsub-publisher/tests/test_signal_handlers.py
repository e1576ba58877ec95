"""What a signal handler may do at any line of a call that it interrupted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from support.fake_broker import FakeBroker
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


def interrupted(
    call: Callable[[], object], line: int, handler: Callable[[], object]
) -> bool:
    """Make a call, and run the handler before the ``line``-th line of the package that it
    runs in this thread; whether it had so many."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                handler()
        return trace

    sys.settrace(trace)
    try:
        call()
    except PubSubError:
        pass  # such as: it was disconnected
    finally:
        sys.settrace(None)
    return seen >= line


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
        CALLS[call](publisher)

    line = 1
    while interrupted(make_call, line, handle):
        line += 1
        if in_handler in ("stop", "disconnect"):
            assert ended(in_thread(publisher.disconnect))
            publisher = new_publisher("A", "Z", attach_timeout_s=0)
            made += 1
    assert line > 5
    assert ended(in_thread(publisher.disconnect))
    wait_for(lambda: len(broker.of(Disconnect)) == made, "each to say goodbye")
