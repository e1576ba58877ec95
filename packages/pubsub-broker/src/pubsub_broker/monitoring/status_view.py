"""Topics and clients of a status report, prepared for text, page and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from pubsub_broker.monitoring.group_view import GroupView, group_of
from pubsub_common.protocol import numbers
from pubsub_common.protocol.level_columns import TopicColumns
from pubsub_common.protocol.level_tree import LevelTree
from pubsub_common.protocol.messages import ClientStatus, Latency, Model, Role, Status
from pubsub_common.protocol.wildcards import is_filter

# The most rows on one page, so that many clients cost neither the broker nor a reader's
# browser more than this; for the rest it shows the number.
MAX_SHOWN: Final = 200
MAX_NAMES: Final = 20
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


class ShownTopic(msgspec.Struct):
    """A topic on a page: the positions are those of the clients that are shown, the
    counts cover all."""

    name: str
    publishers: list[int]
    subscribers: list[int]
    publisher_count: int
    subscriber_count: int
    lost: int
    rate: float | None


class ShownClient(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A client on a page: without its session, which would allow requests in its name.
    ``title`` is its name on the page. Fields that `ClientStatus` has too are copied by
    name, and long ones are cut."""

    role: Role
    address: str
    title: str
    topics: list[str]
    idle_s: float | None
    name: str = ""
    lost: dict[str, int]
    more_topics: int = 0
    latency: Latency | None = None
    broker: str | None = None


_COPIED_FIELDS: Final = tuple(
    name
    for name in ShownClient.__struct_fields__
    if name in ClientStatus.__struct_fields__
)


class PageView(msgspec.Struct):
    """A report for a page, with derived and bounded values."""

    epoch: int
    model: Model
    uptime_s: float
    forwarded: int
    rejected: int
    lost: int
    rate: float | None
    publishers: int
    subscribers: int
    topic_count: int
    expected_count: int
    group: GroupView | None
    topics: list[ShownTopic]
    clients: list[ShownClient]
    expected: list[ShownClient]


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


def view_of(status: Status) -> PageView:
    """The report for a page. If there are too many clients and topics, those with
    losses are shown first, then the fastest topics."""
    status = msgspec.structs.replace(status, clients=in_order(status.clients))
    topics = topics_of(status)
    shown_topics = sorted(topics, key=lambda each: (not each.lost, -(each.rate or 0)))[
        :MAX_SHOWN
    ]
    order = sorted(
        range(len(status.clients)), key=lambda place: not status.clients[place].lost
    )
    shown = {place: new for new, place in enumerate(order[:MAX_SHOWN])}

    def places(old: list[int]) -> list[int]:
        return [shown[place] for place in old if place in shown]

    return PageView(
        epoch=status.epoch,
        model=status.model,
        uptime_s=status.uptime_s,
        forwarded=status.forwarded,
        rejected=status.rejected,
        lost=numbers.total(topic.lost for topic in topics),
        rate=published(topics),
        publishers=count(status.clients, "publisher"),
        subscribers=count(status.clients, "subscriber"),
        topic_count=len(topics),
        expected_count=len(status.expected),
        group=group_of(status),
        topics=[
            ShownTopic(
                each.name,
                places(each.publishers),
                places(each.subscribers),
                len(each.publishers),
                len(each.subscribers),
                each.lost,
                each.rate,
            )
            for each in sorted(shown_topics, key=lambda topic: topic.name)
        ],
        clients=[_shown(status.clients[place]) for place in shown],
        expected=[_shown(client) for client in in_order(status.expected)[:MAX_SHOWN]],
    )


def _shown(client: ClientStatus) -> ShownClient:
    copied = {name: getattr(client, name) for name in _COPIED_FIELDS}
    return ShownClient(
        **copied
        | {
            "title": client_title(client),
            "topics": client.topics[:MAX_NAMES],
            "lost": dict(islice(client.lost.items(), MAX_NAMES)),
            "more_topics": max(0, len(client.topics) - MAX_NAMES),
        }
    )
