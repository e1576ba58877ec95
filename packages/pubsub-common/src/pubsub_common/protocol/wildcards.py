"""Subscriptions with wildcards, by the rules of MQTT (3.1.1, section 4.7).

A topic has levels, separated by ``/``. In a subscription the level ``+`` matches any one level,
and ``#``, as the last one, any number of levels, also none. A subscription that begins with ``+``
or ``#`` does not match a topic that begins with ``$``. A subscription with a level ``+`` or ``#``
is a *filter*.

``+`` and ``#`` together with other characters of a level (``temp#``) are refused, in topics too:
the user expects a wildcard, and would get no events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.topics import validate_topics

_ONE: Final = "+"
_REST: Final = "#"


def is_filter(subscription: str) -> bool:
    """Whether a subscription stands for more than the topic of its name."""
    if _ONE not in subscription and _REST not in subscription:
        return False
    levels = subscription.split("/")
    return _ONE in levels or _REST in levels


def validate_subscriptions(subscriptions: Iterable[str]) -> tuple[str, ...]:
    """Return topics and filters without repetitions, in the order given.

    Raises:
        ConfigError: there is none, there are too many, or one is not valid.
    """
    valid = validate_topics(subscriptions)
    for each in valid:
        _refuse_within_level(each)
        if _REST in each.split("/")[:-1]:
            raise ConfigError(
                f"{each!r}: # stands for all further levels, so at the end"
            )
    return valid


def validate_publisher_topics(topics: Iterable[str]) -> tuple[str, ...]:
    """Return the topics that a publisher may have, without repetitions, in the order
    given. There may be none: a publisher may add its topics later.

    Raises:
        ConfigError: there are too many, one is not valid, or is a filter.
    """
    valid = validate_topics(topics, may_be_empty=True)
    for each in valid:
        if is_filter(each):
            raise ConfigError(
                f"{each!r}: + and # as levels are for subscriptions; events have a "
                "topic of their own"
            )
        _refuse_within_level(each)
    return valid


def asterisk_warning(subscriptions: Iterable[str]) -> str | None:
    """A warning for topics or filters with a ``*``, which is an ordinary character here;
    None: there is none."""
    found = [each for each in subscriptions if "*" in each]
    if not found:
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"subscription {found[0]!r}{more}: * is an ordinary character, not a wildcard "
        "here; + stands for one level between slashes, # for all further levels"
    )


def _refuse_within_level(subscription: str) -> None:
    if _ONE not in subscription and _REST not in subscription:
        return
    for level in subscription.split("/"):
        if len(level) > 1 and (_ONE in level or _REST in level):
            raise ConfigError(
                f"{subscription!r}: + and # stand only for whole levels, as in "
                "'sensors/+/temp' and 'sensors/#'"
            )


def matches(subscription: str, topic: str) -> bool:
    """Whether a topic or filter stands for ``topic``."""
    if not is_filter(subscription):
        return subscription == topic
    levels, names = subscription.split("/"), topic.split("/")
    if topic.startswith("$") and levels[0] in (_ONE, _REST):
        return False
    for index, level in enumerate(levels):
        if level == _REST:
            return True
        if index == len(names) or level not in (_ONE, names[index]):
            return False
    return len(levels) == len(names)


def covers(wide: str, narrow: str) -> bool:
    """Whether a topic or filter stands for all that another one, ``narrow``, does."""
    if not is_filter(narrow):
        return matches(wide, narrow)
    if not is_filter(wide):
        return False
    levels, others = wide.split("/"), narrow.split("/")
    if others[0].startswith("$") and levels[0] in (_ONE, _REST):
        return False
    for index, level in enumerate(levels):
        if level == _REST:
            return True
        if index == len(others) or others[index] == _REST:
            return False
        if level not in (_ONE, others[index]):
            return False
    return len(levels) == len(others)
