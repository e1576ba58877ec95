"""A broker is attached to the publishers that its subscribers want, and to no others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from pubsub_broker.control.attachments import Attachments
from pubsub_broker.control.effects import Attach, Detach, Effect
from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import Role

LEASE_S = 6.0


class Bench:
    """A registry and its attachments. Sessions count from 1; a subscriber's connection
    is named after its session."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lost: set[bytes] = set()
        self.registry = MemoryRegistry()
        self.sessions = itertools.count(1)
        self.attachments = Attachments(
            self.registry,
            lease_s=LEASE_S,
            is_lost=lambda peer: peer in self.lost,
            served=ServedSubscribers(self.registry, lambda _session: True),
        )

    def publisher(self, *topics: str) -> tuple[Client, Sequence[Effect]]:
        client = self.client("publisher", topics)
        self.registry.put(client)
        return client, self.attachments.publisher_came(client)

    def subscriber(self, *topics: str) -> tuple[Client, Sequence[Effect]]:
        client = self.client("subscriber", topics)
        self.registry.put(client)
        return client, self.attachments.subscriber_came(client, self.now)

    def client(self, role: Role, topics: tuple[str, ...]) -> Client:
        session = next(self.sessions)
        address = f"10.0.0.1:{session}" if role == "publisher" else "10.0.0.2"
        return Client(
            session=session, role=role, address=address, topics=topics, clock="realtime"
        )

    def publisher_leaves(self, client: Client) -> Sequence[Effect]:
        self.registry.remove(client.session)
        return self.attachments.publisher_gone(client, at_once=False)

    def subscriber_leaves(self, client: Client) -> None:
        self.registry.remove(client.session)
        self.attachments.subscriber_gone(client, self.now)

    def lease_ends(self, client: Client) -> None:
        self.registry.remove(client.session)
        peer = b"%d" % client.session
        self.attachments.subscriber_silent(client, peer, self.now)

    def after(self, seconds: float) -> Sequence[Effect]:
        self.now += seconds
        return self.attachments.tick(self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def attach(publisher: Client) -> list[Effect]:
    return [Attach(publisher.address, publisher.topics)]


def detach(publisher: Client) -> list[Effect]:
    return [Detach(publisher.address)]


def test_a_publisher_that_nobody_wants_is_not_attached(bench: Bench) -> None:
    bench.subscriber("b")

    publisher, effects = bench.publisher("a")

    assert effects == []
    assert bench.publisher_leaves(publisher) == []
    assert bench.attachments.next_deadline() is None


def test_the_first_subscriber_of_a_topic_has_its_publishers_attached(
    bench: Bench,
) -> None:
    first, _ = bench.publisher("a", "b")
    second, _ = bench.publisher("x/b")
    bench.publisher("c")

    _, effects = bench.subscriber("a", "x/+")
    _, again = bench.subscriber("b", "x/b")

    assert list(effects) == [*attach(first), *attach(second)]
    assert again == []


def test_a_publisher_that_comes_later_is_attached_at_once(bench: Bench) -> None:
    bench.subscriber("a")

    publisher, effects = bench.publisher("b", "a")

    assert effects == attach(publisher)
    assert bench.publisher_leaves(publisher) == detach(publisher)


def test_a_publisher_stays_attached_for_a_lease_after_its_last_subscriber(
    bench: Bench,
) -> None:
    publisher, _ = bench.publisher("a", "b")
    first, _ = bench.subscriber("a")
    second, _ = bench.subscriber("b")

    bench.subscriber_leaves(first)
    assert bench.after(2 * LEASE_S) == []
    bench.subscriber_leaves(second)
    assert bench.attachments.next_deadline() == bench.now + LEASE_S
    assert bench.after(LEASE_S - 0.1) == []
    assert bench.after(0.1) == detach(publisher)
    assert bench.attachments.next_deadline() is None
    assert bench.subscriber("a")[1] == attach(publisher)


def test_subscribers_in_turn_cost_no_connections(bench: Bench) -> None:
    bench.publisher("a")
    subscriber, effects = bench.subscriber("a")
    assert len(effects) == 1
    for _ in range(5):
        bench.subscriber_leaves(subscriber)
        assert bench.after(LEASE_S - 0.1) == []
        subscriber, effects = bench.subscriber("a")
        assert effects == []
    assert bench.after(2 * LEASE_S) == []


def test_a_publisher_that_leaves_in_between_is_detached_then(bench: Bench) -> None:
    publisher, _ = bench.publisher("a")
    subscriber, _ = bench.subscriber("a")
    bench.subscriber_leaves(subscriber)

    assert bench.publisher_leaves(publisher) == detach(publisher)
    assert bench.after(LEASE_S) == []


def test_a_subscriber_that_is_silent_is_served_while_its_connection_is_open(
    bench: Bench,
) -> None:
    """It may be suspended, and its subscriptions still arrive over its data connection."""
    before, _ = bench.publisher("a")
    subscriber, _ = bench.subscriber("a")

    bench.lease_ends(subscriber)

    later, effects = bench.publisher("a")
    assert effects == attach(later)
    for _ in range(5):
        assert bench.after(LEASE_S) == []
    bench.lost.add(b"%d" % subscriber.session)
    assert bench.after(LEASE_S) == []
    assert bench.after(LEASE_S) == [*detach(before), *detach(later)]
    assert bench.attachments.next_deadline() is None


def test_a_silent_subscriber_that_is_back_wants_what_it_says(bench: Bench) -> None:
    first, _ = bench.publisher("a")
    second, _ = bench.publisher("b")
    subscriber, _ = bench.subscriber("a")
    bench.lease_ends(subscriber)
    bench.after(LEASE_S)

    back = Client(
        session=subscriber.session,
        role="subscriber",
        address=subscriber.address,
        topics=("b",),
        clock="realtime",
    )
    bench.attachments.returns(back.session, bench.now)
    bench.registry.put(back)

    assert bench.attachments.subscriber_came(back, bench.now) == attach(second)
    assert bench.after(LEASE_S) == detach(first)
    assert bench.attachments.next_deadline() is None


def test_one_connection_has_one_silent_subscriber(bench: Bench) -> None:
    """Even if its owner registers under many sessions, and then is silent."""
    first, _ = bench.publisher("a")
    bench.publisher("b")
    for topic in "ab":
        subscriber, _ = bench.subscriber(topic)
        bench.registry.remove(subscriber.session)
        bench.attachments.subscriber_silent(subscriber, b"peer", bench.now)

    assert bench.after(LEASE_S) == detach(first)


def test_what_is_done_does_not_grow_with_those_that_it_does_not_concern(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        bench.publisher(f"p/{number}")
        bench.subscriber(f"s/{number}")
    bench.publisher("a")

    looked_at: list[int] = []

    def get(session: int) -> Client | None:
        looked_at.append(session)
        return MemoryRegistry.get(bench.registry, session)

    monkeypatch.setattr(bench.registry, "get", get)
    subscriber, _ = bench.subscriber("a")
    bench.subscriber_leaves(subscriber)
    bench.after(LEASE_S)

    assert len(looked_at) == 2
