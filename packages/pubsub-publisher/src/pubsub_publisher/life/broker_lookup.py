"""Looks up the brokers of a publisher."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_common.client.broker_place import BrokerPlaces, find_brokers
from pubsub_common.errors import PubSubError

if TYPE_CHECKING:
    from pubsub_publisher.config import PublisherConfig

_FIRST_ARGUMENT: Final = (
    "The first argument of Publisher is the broker's address; for a topic write "
    "Publisher(topics=['weather'])."
)


def look_up_brokers(
    config: PublisherConfig, stopped: Callable[[], bool]
) -> BrokerPlaces:
    """The places of the brokers that the options name.

    Raises:
        PubSubError: None of their names is known. Without topics, a note says that the first
            argument is not a topic.
        NotReady: ``stopped`` became true before.
    """
    try:
        return find_brokers(config.brokers(), config.connect_timeout_s, stopped=stopped)
    except PubSubError as error:
        if not config.topics:
            error.add_note(_FIRST_ARGUMENT)
        raise
