"""A status report, prepared for the page: bounded, filtered and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from pubsub_broker.monitoring.group_view import GroupView, group_of
from pubsub_broker.monitoring.status_view import (
    Topic,
    client_title,
    count,
    in_order,
    published,
    topics_of,
)
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import ClientStatus, Latency, Model, Role, Status

# The most rows on one page, so that many clients cost neither the broker nor a reader's
# browser more than this; for the rest it shows the number.
MAX_SHOWN: Final = 200
MAX_NAMES: Final = 20


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


class Found(msgspec.Struct):
    """How many there are after filtering, shown or not."""

    publishers: int
    subscribers: int
    topics: int


class PageView(msgspec.Struct):
    """A report for a page, with derived and bounded values. ``p99_ns`` is the highest of
    all subscribers; all counts but those in ``found`` are without the filter."""

    epoch: int
    model: Model
    address: str
    version: str
    uptime_s: float
    forwarded: int
    rejected: int
    lost: int
    rate: float | None
    p99_ns: int | None
    publishers: int
    subscribers: int
    topic_count: int
    expected_count: int
    group: GroupView | None
    found: Found
    topics: list[ShownTopic]
    clients: list[ShownClient]
    expected: list[ShownClient]


def view_of(status: Status, text: str = "") -> PageView:
    """The report for a page: topics and clients that have ``text`` in their name or
    address, and those connected to them. Clients with losses come first, then slow ones.
    If there are too many topics, those with losses are shown, then the fastest."""
    clients = in_order(status.clients)
    status = msgspec.structs.replace(status, clients=clients)
    topics = topics_of(status)
    found_topics, found_clients = _filtered(topics, clients, text.casefold())
    found_clients.sort(key=lambda place: _urgency(clients[place]))
    shown = {place: new for new, place in enumerate(found_clients[:MAX_SHOWN])}
    by_interest = sorted(
        found_topics, key=lambda each: (not each.lost, -(each.rate or 0))
    )
    found = [clients[place] for place in found_clients]
    latencies = [each.latency.p99_ns for each in clients if each.latency is not None]
    return PageView(
        epoch=status.epoch,
        model=status.model,
        address=status.address,
        version=status.version,
        uptime_s=status.uptime_s,
        forwarded=status.forwarded,
        rejected=status.rejected,
        lost=numbers.total(topic.lost for topic in topics),
        rate=published(topics),
        p99_ns=max(latencies, default=None),
        publishers=count(clients, "publisher"),
        subscribers=count(clients, "subscriber"),
        topic_count=len(topics),
        expected_count=len(status.expected),
        group=group_of(status),
        found=Found(
            count(found, "publisher"), count(found, "subscriber"), len(found_topics)
        ),
        topics=[
            _shown_topic(each, shown)
            for each in sorted(by_interest[:MAX_SHOWN], key=lambda topic: topic.name)
        ],
        clients=[_shown_client(clients[place]) for place in shown],
        expected=[
            _shown_client(client) for client in in_order(status.expected)[:MAX_SHOWN]
        ],
    )


def _filtered(
    topics: list[Topic], clients: Sequence[ClientStatus], text: str
) -> tuple[list[Topic], list[int]]:
    """The topics that are left, and the positions of the clients."""
    if not text:
        return topics, list(range(len(clients)))
    named = {
        place
        for place, client in enumerate(clients)
        if text in f"{client_title(client)}\n{client.address}".casefold()
    }
    by_name = [topic for topic in topics if text in topic.name.casefold()]
    of_named = [
        topic
        for topic in topics
        if not named.isdisjoint(topic.publishers)
        or not named.isdisjoint(topic.subscribers)
    ]
    connected = {
        place for topic in by_name for place in (*topic.publishers, *topic.subscribers)
    }
    found = {topic.name: topic for topic in (*by_name, *of_named)}
    return list(found.values()), sorted(named | connected)


def _urgency(client: ClientStatus) -> tuple[int, int]:
    """Sorts clients with losses first, then by latency. Latencies with equally many digits
    count as equal, else clients would change places all the time."""
    slow = 0 if client.latency is None else len(str(max(client.latency.p99_ns, 0)))
    return -numbers.total(client.lost.values()), -slow


def _shown_topic(topic: Topic, shown: dict[int, int]) -> ShownTopic:
    def places(old: list[int]) -> list[int]:
        return [shown[place] for place in old if place in shown]

    return ShownTopic(
        topic.name,
        places(topic.publishers),
        places(topic.subscribers),
        len(topic.publishers),
        len(topic.subscribers),
        topic.lost,
        topic.rate,
    )


def _shown_client(client: ClientStatus) -> ShownClient:
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
