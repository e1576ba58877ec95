"""Validates topic names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pubsub_common.defaults import MAX_TOPIC_BYTES, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ConfigError


def validate_topic(topic: str) -> str:
    """Return ``topic`` if it is 1 to 255 bytes of UTF-8 with no control characters.

    Raises:
        ConfigError: it is not; the text says why.
    """
    if not isinstance(topic, str):
        raise ConfigError(f"a topic is text, not {type(topic).__name__}")
    try:
        encoded = topic.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"topic {topic!r} cannot be written in UTF-8") from None
    if not encoded:
        raise ConfigError("a topic must not be empty")
    if len(encoded) > MAX_TOPIC_BYTES:
        raise ConfigError(
            f"topic {topic[:20]!r}… is {len(encoded)} bytes long; "
            f"at most {MAX_TOPIC_BYTES} are allowed"
        )
    if not topic.isprintable() and any(unicodedata.category(c) == "Cc" for c in topic):
        raise ConfigError(f"topic {topic!r} holds a control character")
    return topic


def validate_topics(
    topics: Iterable[str], *, may_be_empty: bool = False
) -> tuple[str, ...]:
    """Return the topics without repetitions, in the order given.

    Raises:
        ConfigError: there is none and there must be one, there are too many, or one is not
            valid.
    """
    if isinstance(topics, str):
        raise ConfigError("topics is a list of topics, not one text")
    unique = tuple(dict.fromkeys(validate_topic(topic) for topic in topics))
    if not unique and not may_be_empty:
        raise ConfigError("at least one topic is needed")
    if len(unique) > MAX_TOPICS_PER_CLIENT:
        raise ConfigError(
            f"{len(unique)} topics are too many; "
            f"at most {MAX_TOPICS_PER_CLIENT} are allowed per client"
        )
    return unique
