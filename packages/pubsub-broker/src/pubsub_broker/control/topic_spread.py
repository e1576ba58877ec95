"""At which brokers of a group a topic is forwarded, and at which of them each
subscriber gets it.

Receiving an event costs a broker more than sending one copy, so a topic should be at
few brokers. But a topic with a large part of all subscriptions must be at many. Brokers
are chosen by rendezvous hashing: all brokers choose the same without messages, and a
broker that comes or goes only moves the topics chosen for it.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common.defaults import MAX_BROKERS

# The subscribers of a topic are divided so that each part is at most 1/8 of a broker's
# share of all subscriptions. The busiest broker then has little more than the average
# (by the model of `pubsub-perf model brokers`).
PARTS: Final = 8
# But each broker of a topic has at least this many of its subscribers on average.
LEAST_SUBSCRIBERS: Final = 2
# The factor by which the subscriptions of the group must grow or shrink to count.
GROWTH: Final = 1.5


def broker_count(subscribers: int, subscriptions: int, brokers: int) -> int:
    """The number of ``brokers`` for a topic with this many ``subscribers``, out of this
    many ``subscriptions`` to all topics: a power of two, or all brokers."""
    share = -(-PARTS * brokers * subscribers // max(subscriptions, 1))
    wanted = 1 << max(share - 1, 0).bit_length()
    most = 1 << max(subscribers // LEAST_SUBSCRIBERS, 1).bit_length() - 1
    return min(wanted, most, brokers)


def damped_count(
    before: int | None, subscribers: int, subscriptions: int, brokers: int
) -> int:
    """`broker_count` with hysteresis, for a topic that was at ``before`` brokers: it
    grows immediately, and shrinks only when twice as many subscribers would still need
    fewer."""
    least = broker_count(subscribers, subscriptions, brokers)
    if before is None:
        return least
    most = broker_count(2 * subscribers, subscriptions, brokers)
    return min(max(before, least), most)


def counts_anew(before: int, subscriptions: int) -> bool:
    """Whether the number of subscriptions differs enough from ``before`` to decide
    again."""
    return not 1 / GROWTH < subscriptions / before < GROWTH


def forwarder_of(topic: str, count: int) -> int:
    """The index of the forwarder that has a topic, out of ``count``."""
    return zlib.crc32(topic.encode()) % count


def ranking(topic: str, brokers: Iterable[str]) -> list[str]:
    """Brokers in the order in which they are chosen for a topic."""
    key = topic.encode()
    return sorted(brokers, key=lambda broker: _rank(key, broker), reverse=True)


def place_of(session: int, home: str, brokers: Sequence[str]) -> str:
    """The broker at which a subscriber gets the topic: its own (``home``), if it is one
    of the topic's ``brokers``."""
    if home in brokers:
        return home
    key = b"%x" % session
    return max(brokers, key=lambda broker: _rank(key, broker))


def _rank(key: bytes, broker: str) -> bytes:
    return hashlib.blake2b(key, digest_size=8, salt=_salt(broker)).digest()


@functools.lru_cache(maxsize=4 * MAX_BROKERS)
def _salt(broker: str) -> bytes:
    return hashlib.blake2b(broker.encode(), digest_size=16).digest()
