"""URLs of brokers: ``pubsub://HOST:PORT/TOPIC``, accepted wherever a broker is named.

The port and the topic may be absent. Several brokers have commas between them:
``pubsub://HOST,HOST:PORT/TOPIC``. The topic is everything after the first slash, so wildcards
need no escapes; ``%XX`` stands for a byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from pubsub_common.errors import ConfigError

SCHEME: Final = "pubsub://"
# As in RFC 3986.
_ANY_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class BrokerUrl(NamedTuple):
    """The parts of a URL. ``brokers`` is ``HOST`` or ``HOST:PORT``, or several of them with
    commas."""

    brokers: str
    topic: str | None


def is_url(text: str) -> bool:
    """Whether a text is a URL of a broker, perhaps an invalid one. The scheme may be in
    capitals."""
    return text[: len(SCHEME)].lower() == SCHEME


def has_scheme(text: str) -> bool:
    """Whether a text is a URL of anything."""
    return _ANY_SCHEME.match(text) is not None


def parse_url(text: str) -> BrokerUrl:
    """The parts of a URL. A text without a scheme is a broker without a topic.

    Raises:
        ConfigError: the URL has another scheme, or names no broker.
    """
    if not is_url(text):
        if "://" in text:
            raise ConfigError(f"{text!r}: the URL of a broker begins with {SCHEME}")
        return BrokerUrl(text, None)
    brokers, _, topic = text[len(SCHEME) :].partition("/")
    if not brokers:
        raise ConfigError(f"{text!r} names no broker: {SCHEME}HOST:PORT/TOPIC")
    if "%" in topic:
        from urllib.parse import unquote  # rarely needed, and slow to import

        topic = unquote(topic)
    return BrokerUrl(brokers, topic or None)


def topics_in(address: str | Iterable[str]) -> tuple[str, ...]:
    """The topics in the URLs of a role's argument ``broker_address``.

    Raises:
        ConfigError: a URL is invalid.
    """
    texts = (address,) if isinstance(address, str) else address
    topics = (parse_url(text).topic for text in texts)
    return tuple(topic for topic in topics if topic is not None)
