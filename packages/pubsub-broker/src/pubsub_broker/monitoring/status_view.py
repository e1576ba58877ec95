"""Topics and clients of a status report, for text, screen, page and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from pubsub_common.protocol import numbers
from pubsub_common.protocol.level_columns import TopicColumns
from pubsub_common.protocol.level_tree import LevelTree
from pubsub_common.protocol.messages import ClientStatus, Role, Status
from pubsub_common.protocol.wildcards import is_filter

# Topics that are matched with all wildcards in one step.
_TOPICS_AT_ONCE: Final = 4096


class Topic(msgspec.Struct):
    """A topic with the positions of its clients in the report; subscribers include
    those by wildcard. ``lost`` is the number of events that registered subscribers have
    lost, ``rate`` the events per second of all its publishers; None: no publisher has
    reported."""

    name: str
    publishers: list[int]
    subscribers: list[int]
    lost: int = 0
    rate: float | None = None


def topics_of(status: Status) -> list[Topic]:
    """All topics by name: registered ones, and those with lost events (the publisher
    may be gone)."""
    found: dict[str, Topic] = {}
    filters: dict[str, list[int]] = {}

    def topic(name: str) -> Topic:
        if name not in found:
            found[name] = Topic(name, [], [])
        return found[name]

    for place, client in enumerate(status.clients):
        for name in client.topics:
            if client.role == "publisher":
                each = topic(name)
                each.publishers.append(place)
                if client.rates is not None:
                    each.rate = (each.rate or 0.0) + client.rates.get(name, 0.0)
            elif is_filter(name):
                filters.setdefault(name, []).append(place)
            else:
                topic(name).subscribers.append(place)
        for name, count in client.lost.items():
            each = topic(name)
            each.lost = numbers.add(each.lost, count)
    _add_subscribers(found, filters)
    return [found[name] for name in sorted(found)]


def _add_subscribers(
    topics: Mapping[str, Topic], filters: Mapping[str, list[int]]
) -> None:
    """Add the subscribers by wildcard; ``filters`` has the positions of their clients."""
    tree = LevelTree(filters)
    waiting = iter(topics)
    while some := list(islice(waiting, _TOPICS_AT_ONCE)):
        columns = TopicColumns(some)
        places: dict[str, set[int]] = {}
        for name, mask in tree.matching(columns):
            for topic in columns.chosen(mask):
                places.setdefault(topic, set()).update(filters[name])
        for topic, found in places.items():
            each = topics[topic]
            each.subscribers = sorted(found.union(each.subscribers))


def count(clients: Iterable[ClientStatus], role: Role) -> int:
    """The number of clients with this role."""
    return sum(client.role == role for client in clients)


def published(topics: Iterable[Topic]) -> float | None:
    """The events per second of all topics; None if no publisher has reported."""
    rates = [topic.rate for topic in topics if topic.rate is not None]
    return sum(rates) if rates else None


def losing_subscribers(status: Status) -> list[ClientStatus]:
    """Subscribers that have lost events, in descending order."""
    losers = [client for client in status.clients if client.lost]
    return sorted(losers, key=lambda client: -numbers.total(client.lost.values()))


def rate(before: Status | None, after: Status) -> float | None:
    """The messages forwarded per second between two reports; None if unknown: the
    broker does not forward, or it has changed."""
    if after.model != "centralized" or before is None or before.epoch != after.epoch:
        return None
    seconds = after.uptime_s - before.uptime_s
    return (after.forwarded - before.forwarded) / seconds if seconds > 0 else None


def client_title(client: ClientStatus) -> str:
    """The name of a client in text, terminal screen, page and metrics."""
    return client.name or client.address


def title_and_address(client: ClientStatus) -> str:
    """The title, and for a client with a name its address."""
    title = client_title(client)
    return f"{title} at {client.address}" if client.name else title


def in_order(clients: Iterable[ClientStatus]) -> list[ClientStatus]:
    """Publishers first, then by title. In a report they are in the order of their
    last messages, so the same client would change its position."""
    return sorted(
        clients, key=lambda each: (each.role, client_title(each), each.session)
    )
