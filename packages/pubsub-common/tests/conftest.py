"""Settings and fixtures of this package's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from pubsub_common.net.sockets import terminate_context


class KeepingContext(zmq.Context[zmq.Socket[bytes]]):
    """Holds on to its sockets, so that all can be closed."""

    # In the class too, because pyzmq takes unknown attributes for options.
    kept: tuple[zmq.Socket[bytes], ...] = ()

    def socket(self, *args: Any, **options: Any) -> zmq.Socket[bytes]:
        socket = super().socket(*args, **options)
        self.kept += (socket,)
        return socket


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that is gone after the test, with all its sockets."""
    context = KeepingContext()
    yield context
    for socket in context.kept:
        socket.close(linger=0)
    terminate_context(context)
