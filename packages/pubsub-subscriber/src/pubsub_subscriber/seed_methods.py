"""Methods that programs written for the first version of this class call.

`configure` and the control thread do all of this by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pubsub_common import validation
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.runtime import SubscriberRuntime
from pubsub_subscriber.streams.effects import Connect


class SeedMethods:
    """Methods that forward to the runtime. For any thread."""

    _runtime: SubscriberRuntime

    def register_sub(self) -> None:
        """Check that this subscriber is registered; `configure` registers it.

        Raises:
            PubSubError: It is not connected, or the broker refused it.
        """
        self._runtime.check_usable()

    def setup_broker_topic_port_connections(
        self, received_message: Mapping[str, int]
    ) -> None:
        """Centralized: connect to the broker, with one socket for each port of
        ``received_message``.

        Args:
            received_message: The port from which the broker forwards each topic.

        Raises:
            ConfigError: A port is not valid.
            PubSubError: This subscriber is not connected.
        """
        self._runtime.check_usable()
        for topic, port in received_message.items():
            validation.port(f"the port of {topic!r}", port)
        run_uninterrupted(
            lambda: self._runtime.performer.perform(
                lambda core: [core.sources.listen(dict(received_message))]
            )
        )

    def setup_notification_polling(self, notify_port: int = 0) -> None:
        """Decentralized: subscribe to the publishers that the broker names.

        Args:
            notify_port: Not used: notifications come on the connection to the broker.

        Raises:
            PubSubError: This subscriber is not connected.
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
        """Decentralized: connect to publishers.

        Args:
            notification: The publishers, as the broker has named them.

        Raises:
            PubSubError: This subscriber is not connected.
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
        """Apply the notifications about publishers that have come since the last call; in the
        decentralized model, connect to new publishers. The control thread does this anyway."""
        run_uninterrupted(self._runtime.performer.apply_updates)
