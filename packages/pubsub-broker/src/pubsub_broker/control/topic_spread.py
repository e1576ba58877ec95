"""At which brokers of a group a topic is forwarded, and at which of them each subscriber has it.

Taking an event in costs a broker more than sending one copy of it, so a topic should be at few
brokers; but a topic that is a great part of all must be at many. Brokers are chosen by rendezvous
hashing: all brokers choose the same without asking each other, and a broker that comes or goes
moves no more than what is chosen for it.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common.defaults import MAX_BROKERS

# A topic is at as many brokers as divide its subscribers into parts so small that a broker has
# that many of them when all subscriptions are shared out evenly: the busiest then has little more
# than the average (by the model of `pubsub-perf model brokers`).
PARTS: Final = 8
# But a broker that takes in a topic has so many subscribers of it on average, at least.
LEAST_SUBSCRIBERS: Final = 2
# By how much the subscriptions of the group must grow, or shrink, to count.
GROWTH: Final = 1.5


def broker_count(subscribers: int, subscriptions: int, brokers: int) -> int:
    """At how many of ``brokers`` a topic is that has so many ``subscribers``, of so many
    ``subscriptions`` to all topics: a power of two, or all of them."""
    share = -(-PARTS * brokers * subscribers // max(subscriptions, 1))
    wanted = 1 << max(share - 1, 0).bit_length()
    most = 1 << max(subscribers // LEAST_SUBSCRIBERS, 1).bit_length() - 1
    return min(wanted, most, brokers)


def damped_count(
    before: int | None, subscribers: int, subscriptions: int, brokers: int
) -> int:
    """`broker_count`, where the topic was at so many brokers ``before``: it grows at once, and
    shrinks when twice as many subscribers would not need them either."""
    least = broker_count(subscribers, subscriptions, brokers)
    if before is None:
        return least
    most = broker_count(2 * subscribers, subscriptions, brokers)
    return min(max(before, least), most)


def counts_anew(before: int, subscriptions: int) -> bool:
    """Whether the group has so many subscriptions that what was decided when it had ``before``
    is to be decided again."""
    return not 1 / GROWTH < subscriptions / before < GROWTH


def forwarder_of(topic: str, count: int) -> int:
    """Which of a broker's ``count`` forwarders has a topic."""
    return zlib.crc32(topic.encode()) % count


def ranking(topic: str, brokers: Iterable[str]) -> list[str]:
    """Brokers in the order in which they are chosen for a topic."""
    key = topic.encode()
    return sorted(brokers, key=lambda broker: _rank(key, broker), reverse=True)


def place_of(session: int, home: str, brokers: Sequence[str]) -> str:
    """At which of the topic's brokers a subscriber has it: at its own (``home``), if that is
    one of them."""
    if home in brokers:
        return home
    key = b"%x" % session
    return max(brokers, key=lambda broker: _rank(key, broker))


def _rank(key: bytes, broker: str) -> bytes:
    return hashlib.blake2b(key, digest_size=8, salt=_salt(broker)).digest()


@functools.lru_cache(maxsize=4 * MAX_BROKERS)
def _salt(broker: str) -> bytes:
    return hashlib.blake2b(broker.encode(), digest_size=16).digest()
