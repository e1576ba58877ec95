"""Methods that programs written for the first version of `Broker` call.

`Broker.event_loop` does all of this by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pubsub_broker.runtime import BrokerRuntime
from pubsub_broker.transport.control_socket import ReceivedMessage
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Disconnect, Register, Request, Role

_log = logging.getLogger(__name__)


class SeedMethods:
    """Methods that forward to the runtime. For one thread at a time, and not while the loop
    runs."""

    _runtime: BrokerRuntime

    def parse_events(self, index: int) -> None:
        """Do one turn of the loop: wait for something to do, at most half a second, and
        do it. That is control messages, expired leases and notifications, and events if
        this broker forwards a limited number.

        ``index`` numbers the call, in the debug log.
        """
        _log.debug("turn %d", index)
        self._runtime.turn()

    def register_sub(self, msg: Register | None = None) -> None:
        """Register the subscriber that ``msg`` describes for one lease, without a
        reply. (The loop registers clients that send a request.)

        Raises:
            PubSubError: there is no request, or it is not a subscriber's.
        """
        self._register(msg, "subscriber")

    def register_pub(self, msg: Register | None = None) -> None:
        """Register the publisher that ``msg`` describes, like `register_sub`, and
        notify the subscribers of its topics.

        Raises:
            PubSubError: there is no request, or it is not a publisher's.
        """
        self._register(msg, "publisher")

    def disconnect_sub(self, msg: Disconnect) -> None:
        """Remove the subscriber of the session in ``msg``."""
        self._serve(msg)

    def disconnect_pub(self, msg: Disconnect) -> None:
        """Remove the publisher of the session in ``msg``, and notify the subscribers of
        its topics."""
        self._serve(msg)

    def notify_subscribers(
        self,
        topics: Iterable[str],
        pub_address: str | None = None,
        sub_id: int | None = None,
    ) -> None:
        """Tell the subscribers of ``topics`` now about publishers that joined or left,
        instead of after the short time in which the broker collects them.

        ``sub_id`` limits it to the subscriber of this session. ``pub_address`` is for
        the log: a subscriber always gets all news.
        """
        _log.debug("notifying subscribers of %s about %s", topics, pub_address)
        self._runtime.do(lambda loop: loop.notify(topics, sub_id))

    # Forwarding (centralized)

    def update_send_socket(self) -> list[int]:
        """The ports from which this broker forwards events, if it does; `configure` has
        opened them."""
        return self._runtime.forwarding_ports()

    def update_receive_socket(self) -> None:
        """Connect to publishers that registered, and disconnect from those that left
        (after a grace time, so that their last events still arrive)."""
        self._runtime.do(lambda loop: loop.apply_changes())

    def send(self, topic: str) -> bool:
        """Forward the next queued event if it is of ``topic``; returns whether it was.
        Only for a broker with an event limit: without one, libzmq's proxy forwards
        events in C, faster and uncounted."""
        return self._runtime.do(lambda loop: loop.forward_one(topic))

    def _register(self, msg: Register | None, role: Role) -> None:
        if msg is None or msg.role != role:
            raise PubSubError(f"no request of a {role} to register")
        self._serve(msg)

    def _serve(self, request: Request) -> None:
        nobody = ReceivedMessage(b"", b"")
        self._runtime.do(lambda loop: loop.serve(nobody, request))
