"""What the broker tells of a client, to subscribers and in its status. Core."""

from __future__ import annotations

from pubsub_broker.registry import Client, Registry
from pubsub_common.messages import ClientStatus, ClockRange, Model, PublisherInfo
from pubsub_common.wildcards import is_filter, wanted


def publisher_info(
    model: Model, publisher: Client, subscriber: Client
) -> PublisherInfo:
    """What a subscriber is to know of a publisher: no more than concerns its topics."""
    topics = wanted(publisher.topics, subscriber.topics)
    return PublisherInfo(
        session=publisher.session,
        topics=topics,
        address=None if model == "centralized" else publisher.address,
        strengths={
            topic: publisher.strengths[topic]
            for topic in topics
            if topic in publisher.strengths
        },
        key=None if model == "centralized" else publisher.user,
    )


def listeners_of(registry: Registry, publisher: Client) -> dict[int, int]:
    """Subscribers that are to have several of a publisher's topics, and how many, where one
    topic does not bring the others: those with wildcards may have some of them already,
    since others publish them too, and subscribe to the rest when they hear of this one."""
    if publisher.role != "publisher" or len(publisher.topics) == 1:
        return {}
    found = {}
    for subscriber in registry.matching("subscriber", publisher.topics):
        if any(map(is_filter, subscriber.topics)):
            count = len(wanted(publisher.topics, subscriber.topics))
            if count > 1:
                found[subscriber.session] = count
    return found


def client_status(client: Client, now: float) -> ClientStatus:
    """A client's line in a status report at ``now``, seconds of the registry's clock."""
    return ClientStatus(
        role=client.role,
        session=client.session,
        address=client.address,
        topics=list(client.topics),
        idle_s=now - client.renewed_at,
        lost=dict(client.lost),
        rates=None if client.published is None else client.published.rates(),
        latency=client.latency,
    )


def clocks_of(registry: Registry, client: Client) -> ClockRange | None:
    """Where the clocks of a subscriber's publishers are; None when one is not known,
    or there is none."""
    if client.role != "subscriber":
        return None
    low_ns: int | None = None
    high_ns: int | None = None
    for publisher in registry.matching("publisher", client.topics):
        offset = publisher.offset
        if offset is None:
            return None
        low, high = (
            offset.offset_ns - offset.bound_ns,
            offset.offset_ns + offset.bound_ns,
        )
        low_ns = low if low_ns is None else min(low_ns, low)
        high_ns = high if high_ns is None else max(high_ns, high)
    if low_ns is None or high_ns is None:
        return None
    return ClockRange(low_ns=low_ns, high_ns=high_ns)
