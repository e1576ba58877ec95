"""The main thread has another thread take large events, and misses none that comes meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from support.core_steps import new_performer
from support.fake_sub_socket import FakeSubSocket

from pubsub_common.protocol.events import encode_event
from pubsub_common.testing import WAIT_S
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.large_events import LARGE_BYTES
from pubsub_subscriber.receiving.receiver import Receiver

# The first one of a stream is unusual.
FRAMES = [
    encode_event("A", "p", 7, number, 1, bytes(LARGE_BYTES)) for number in range(3)
]


class Swallowed(FakeSubSocket):
    """A frame comes after a check that found none, and another thread swallows the signal of the
    descriptor, and wakes the receiving thread."""

    def __init__(self, fd: int, receiver: Receiver) -> None:
        super().__init__(fd, FRAMES[:2])
        self._receiver = receiver
        self._coming = FRAMES[2:]

    def receive_frame(self, flags: int) -> Any:
        try:
            return super().receive_frame(flags)
        finally:
            if not self.frames and self._receiver.queue.taken == 2:
                self.frames.extend(self._coming)
                self._coming.clear()
                self._receiver.wake()


@pytest.fixture
def silent() -> Iterator[int]:
    """A descriptor that never signals."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


def test_an_event_that_comes_right_after_a_check_is_received(silent: int) -> None:
    receiver = Receiver(new_performer("A"), lambda: 5, None, lambda: None)
    receiver.open()
    receiver.sockets.add(0, cast(SubSocket, Swallowed(silent, receiver)))
    too_late = threading.Timer(WAIT_S, receiver.stop)
    too_late.start()

    events = [receiver.receive(None) for _ in FRAMES]

    too_late.cancel()
    too_late.join()
    assert not receiver.stopping
    assert [event and event.sequence for event in events] == [0, 1, 2]
