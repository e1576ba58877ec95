"""The input of a forwarder from publishers, for any kind of sockets."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from pubsub_broker.forwarding.event_output import Message
from pubsub_common.net.sockets import has_input


class PublisherInputs:
    """For one thread at a time. Attaching an attached publisher does nothing."""

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        """The sockets that receive from publishers."""
        raise NotImplementedError

    def receive(self) -> Message | None:
        """The next message of a publisher; None if there is none."""
        raise NotImplementedError

    def attach(self, address: str) -> None:
        """Receive from the publisher at ``IP:port``."""
        raise NotImplementedError

    def attached(self, address: str) -> bool:
        """Whether this publisher is attached."""
        raise NotImplementedError

    def attached_place(self, address: str) -> str | None:
        """The address that an attached publisher is connected at; None: none yet."""
        raise NotImplementedError

    def disconnect(self, address: str) -> None:
        """Disconnect from an attached publisher."""
        raise NotImplementedError

    def has_input(self) -> bool:
        """Whether a message waits."""
        waiting = [has_input(socket) for socket in self.inputs()]  # check all of them
        return any(waiting)
