"""What a forwarder receives from publishers, whatever sockets it has for them."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from pubsub_broker.forwarding.event_output import Message
from pubsub_common.net.sockets import has_input


class PublisherInputs:
    """One thread at a time uses it. Attaching what is attached does nothing."""

    def inputs(self) -> Sequence[zmq.Socket[bytes]]:
        """The sockets that publishers' messages come from."""
        raise NotImplementedError

    def receive(self) -> Message | None:
        """The next message of a publisher; None when none waits."""
        raise NotImplementedError

    def attach(self, address: str) -> None:
        """Receive what the publisher at ``IP:port`` sends."""
        raise NotImplementedError

    def attached(self, address: str) -> bool:
        """Whether we do."""
        raise NotImplementedError

    def attached_place(self, address: str) -> str | None:
        """Where an attached publisher is connected to; None: nowhere yet."""
        raise NotImplementedError

    def disconnect(self, address: str) -> None:
        """Receive nothing more from an attached publisher."""
        raise NotImplementedError

    def has_input(self) -> bool:
        """Whether a message waits."""
        waiting = [has_input(socket) for socket in self.inputs()]  # look at all
        return any(waiting)
