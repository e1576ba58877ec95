"""Tells which topics of a subscriber have no publisher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsub_common.client.topic_hints import no_publisher, topics_at

if TYPE_CHECKING:
    from pubsub_subscriber.subscriber import Subscriber


def topic_hint(subscriber: Subscriber) -> str | None:
    """A hint for a subscriber without events; None: it has some, or all its topics have a
    publisher, or the broker does not tell."""
    config = subscriber.config
    if subscriber.event_count or config.keys is not None:
        return None
    published = topics_at(config.brokers(), subscriber.broker_address, "publisher")
    return None if published is None else no_publisher(subscriber.topics, published)
