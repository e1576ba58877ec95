"""A ZeroMQ context that knows its sockets."""

from __future__ import annotations

from typing import Any

import zmq


class KeepingContext(zmq.Context[zmq.Socket[bytes]]):
    """Keeps its sockets, so that all can be closed."""

    # In the class too, because pyzmq takes unknown attributes for options.
    kept: tuple[zmq.Socket[bytes], ...] = ()

    def socket(self, *args: Any, **options: Any) -> zmq.Socket[bytes]:
        socket = super().socket(*args, **options)
        self.kept += (socket,)
        return socket
