"""Methods that programs written for the first version of this class call.

`configure` and the control thread do all of this by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.runtime import SubscriberRuntime
from pubsub_subscriber.streams.effects import Connect


class SeedMethods:
    """Doors to what a runtime does. For any thread."""

    _runtime: SubscriberRuntime

    def register_sub(self) -> None:
        """See to it that this subscriber is registered with the broker, as `configure`
        has done it.

        Raises:
            PubSubError: it is not connected, or the broker refuses it since it restarted.
        """
        self._runtime.check_usable()

    def setup_broker_topic_port_connections(
        self, received_message: Mapping[str, int]
    ) -> None:
        """Centralized: listen to the broker, with one socket for each port it
        forwards our topics from. ``received_message`` maps topics to ports.

        Raises:
            PubSubError: this subscriber is not connected.
        """
        self._runtime.check_usable()
        run_uninterrupted(
            lambda: self._runtime.performer.perform(
                lambda core: [core.sources.listen(dict(received_message))]
            )
        )

    def setup_notification_polling(self, notify_port: int = 0) -> None:
        """Decentralized: get ready to listen to publishers as the broker names them.

        Its notifications come on the control connection, so ``notify_port``, a
        separate port in earlier versions, is not used.

        Raises:
            PubSubError: this subscriber is not connected.
        """
        self._runtime.check_usable()
        run_uninterrupted(
            lambda: self._runtime.performer.perform(
                lambda core: [core.sources.subscribe()]
            )
        )

    def setup_publisher_direct_connections(
        self, notification: Iterable[PublisherInfo | Mapping[str, Any]] | None = None
    ) -> None:
        """Decentralized: connect to the publishers that the broker has named.

        Raises:
            PubSubError: this subscriber is not connected.
        """
        self._runtime.check_usable()
        publishers = [
            msgspec.convert(item, PublisherInfo, from_attributes=True)
            for item in notification or ()
        ]
        run_uninterrupted(
            lambda: self._runtime.performer.perform(lambda _: map(Connect, publishers))
        )

    def parse_notification(self) -> None:
        """Take in what the broker has told about publishers since the last call; in
        the decentralized model, connect to the new ones. The control thread does so by
        itself."""
        run_uninterrupted(self._runtime.performer.apply_updates)
