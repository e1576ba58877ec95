"""Publishers, subscribers and a broker together, in both models."""

from __future__ import annotations

import collections
import contextlib
import random
import threading
from collections.abc import Iterator

import pytest
from support.broker_parts import parts_of

from pubsub_common import BrokerUnreachable, Event, RegistrationRefused
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

from .conftest import WAIT_S, System


def take(subscriber: Subscriber, count: int) -> list[Event]:
    events = [subscriber.receive(WAIT_S) for _ in range(count)]
    assert None not in events, f"{events.index(None)} of {count} events arrived"
    return [event for event in events if event is not None]


@contextlib.contextmanager
def background(target: object, *args: object) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
    thread.start()
    yield thread
    thread.join(WAIT_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("order", ["bsp", "bps", "sbp", "psb", "spb"])
def test_roles_start_in_any_order(system: System, order: str) -> None:
    """b, p and s: broker, publisher, subscriber. A client before the broker waits for
    it, in a thread here."""
    found: dict[str, object] = {}

    def start(role: str) -> None:
        if role == "s":
            found["s"] = system.subscriber("A")
        elif role == "p":
            found["p"] = system.publisher("A")

    with contextlib.ExitStack() as stack:
        for role in order:
            if role == "b":
                system.broker()
            else:
                stack.enter_context(background(start, role))
                if "b" in order[: order.index(role)]:
                    wait_for(lambda role=role: role in found, role)  # type: ignore[misc]
        wait_for(lambda: len(found) == 2, "the start of both clients")
    publisher, subscriber = found["p"], found["s"]
    assert isinstance(publisher, Publisher)
    assert isinstance(subscriber, Subscriber)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"first")
    assert [event.payload for event in take(subscriber, 1)] == [b"first"]


def test_nothing_published_after_the_wait_is_lost_at_full_speed(system: System) -> None:
    system.broker()
    subscribers = [system.subscriber("A", queue_limit=200_000) for _ in range(2)]
    publisher = system.publisher("A", queue_limit=200_000)
    publisher.wait_for_subscribers(2, WAIT_S)
    with contextlib.ExitStack() as stack:
        received: list[list[Event]] = [[], []]
        for one, subscriber in zip(received, subscribers, strict=True):
            stack.enter_context(
                background(lambda one=one, s=subscriber: one.extend(take(s, 9_000)))
            )
        for number in range(9_000):  # fewer than the broker's queue takes
            publisher.publish_event("A", b"%d" % number)
    for one, subscriber in zip(received, subscribers, strict=True):
        assert [int(event.payload) for event in one] == list(range(9_000))
        assert [event.sequence for event in one] == list(range(9_000))
        counts = subscriber.counts()
        assert (counts.lost, counts.duplicated, counts.reordered) == (0, 0, 0)


def test_joins_and_leaves_in_any_order(system: System) -> None:
    """A seeded crowd joins and leaves. Each client gets each event of its topics once
    and in order, and no event published while it was ready is missing."""
    source = random.Random(7)
    system.broker()
    publishers: list[Publisher] = []
    subscribers: list[Subscriber] = []
    expected: dict[int, list[tuple[str, int]]] = collections.defaultdict(list)
    number = 0
    for _ in range(40):
        choice = source.random()
        if choice < 0.25 and len(subscribers) < 5:
            topics = source.choice([["A"], ["B"], ["A", "B"]])
            subscribers.append(system.subscriber(*topics))
        elif choice < 0.5 and len(publishers) < 4:
            publishers.append(system.publisher("A", "B"))
        elif choice < 0.6 and subscribers:
            leaving = subscribers.pop(source.randrange(len(subscribers)))
            check(leaving, expected.pop(id(leaving), []))
            leaving.disconnect()
        elif choice < 0.7 and publishers:
            publishers.pop(source.randrange(len(publishers))).disconnect()
        if not publishers or not subscribers:
            continue
        publisher = source.choice(publishers)
        publisher.wait_for_subscribers(len(subscribers), WAIT_S)
        for topic in ("A", "B"):
            publisher.publish_event(topic, b"%d" % number)
            for subscriber in subscribers:
                if topic in subscriber.topics:
                    expected[id(subscriber)].append((topic, number))
            number += 1
    assert number > 20
    for subscriber in subscribers:
        check(subscriber, expected.get(id(subscriber), []))


def check(subscriber: Subscriber, expected: list[tuple[str, int]]) -> None:
    events = take(subscriber, len(expected))
    assert sorted((e.topic, int(e.payload)) for e in events) == sorted(expected)
    streams = collections.defaultdict(list)
    for event in events:
        streams[event.session, event.topic].append(event.sequence)
    for sequences in streams.values():
        assert sequences == sorted(set(sequences))
    counts = subscriber.counts()
    assert (counts.lost, counts.duplicated, counts.reordered) == (0, 0, 0)


def test_a_topic_matches_whole_and_not_as_a_prefix(system: System) -> None:
    system.broker()
    subscriber = system.subscriber("A")
    publisher = system.publisher("A", "AB", "ABC")
    publisher.wait_for_subscribers(1, WAIT_S)
    for topic in ("AB", "ABC", "A", "AB"):
        publisher.publish_event(topic, topic.encode())
    publisher.publish_event("A", b"last")
    assert [e.payload for e in take(subscriber, 2)] == [b"A", b"last"]


def test_generated_events_go_through_the_topics_in_turn(system: System) -> None:
    system.broker()
    subscriber = system.subscriber("A", "B", "C")
    publisher = system.publisher("A", "B", "C", max_event_count=7, sleep_period=0.01)
    publisher.wait_for_subscribers(1, WAIT_S)
    assert publisher.publish() == 7
    assert [e.topic for e in take(subscriber, 7)] == list("ABCABCA")


def test_payloads_arrive_byte_for_byte(system: System) -> None:
    system.broker()
    subscriber = system.subscriber("A")
    publisher = system.publisher("A")
    publisher.wait_for_subscribers(1, WAIT_S)
    payloads = [b"", b"\0", bytes(range(256)), random.Random(1).randbytes(1 << 20)]
    for payload in payloads:
        publisher.publish_event("A", payload)
    events = take(subscriber, len(payloads))
    assert [event.payload for event in events] == payloads
    assert {event.publisher for event in events} == {publisher.address}
    assert all(0 < event.latency < WAIT_S for event in events)


def test_a_subscriber_is_ready_when_all_publishers_have_answered(
    system: System,
) -> None:
    system.broker()
    publishers = [system.publisher("A") for _ in range(3)]
    subscriber = system.subscriber("A")
    subscriber.wait_until_ready(WAIT_S)
    for publisher in publishers:
        publisher.publish_event("A", publisher.address.encode())
    events = take(subscriber, 3)
    assert {e.payload.decode() for e in events} == {p.address for p in publishers}


def test_a_port_in_use_is_skipped(system: System) -> None:
    system.broker()
    first = system.publisher("A")
    second = system.publisher("A", bind_port=first.bind_port)
    assert second.bind_port > first.bind_port
    assert second.address == f"127.0.0.1:{second.bind_port}"


def test_after_a_broker_restart_events_flow_again_and_no_gap_is_claimed(
    system: System,
) -> None:
    first = system.broker()
    subscriber = system.subscriber("A")
    publisher = system.publisher("A")
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"before")
    assert take(subscriber, 1)[0].sequence == 0
    first.end()  # type: ignore[attr-defined]
    second = system.broker()
    # Both come back by themselves, under their old sessions.
    wait_for(
        lambda: len(list(parts_of(second).core.own.clients())) == 2,
        "their return",
    )
    arrived: list[Event] = []
    with background(lambda: arrived.extend(take(subscriber, 1))):
        # Centralized, events published before the new broker forwards are lost.
        wait_for(lambda: bool(arrived) or publish(publisher), "an event")
    assert arrived[0].session == publisher.session
    lost = subscriber.counts().lost
    assert lost == arrived[0].sequence - 1, "losses are counted, and nothing else"
    assert lost == 0 or system.centralized


def publish(publisher: Publisher) -> bool:
    publisher.publish_event("A", b"after")
    return False


def test_a_client_that_dies_is_forgotten_when_its_lease_ends(system: System) -> None:
    broker = system.broker(lease_s=1.0)
    subscriber = system.subscriber("A")
    publisher = system.publisher("A")
    publisher.wait_for_subscribers(1, WAIT_S)
    assert publisher._runtime._control is not None
    # It dies: nobody renews the lease, no client sends `disconnect`.
    publisher._runtime._control._loop._session.leave({})
    registry = parts_of(broker).core.own
    wait_for(lambda: len(list(registry.clients())) == 1, "the end of the lease")
    assert next(registry.clients()).session == subscriber.session


def test_a_wrong_model_is_refused_and_both_are_named(system: System) -> None:
    system.broker()
    with pytest.raises(RegistrationRefused) as refused:
        Subscriber(
            topics=["A"],
            centralized=not system.centralized,
            broker_port=system.port,
        ).configure()
    assert "expects a decentralized" in str(
        refused.value
    ) or "expects a centralized" in str(refused.value)
    assert "this one is" in str(refused.value)


def test_different_clocks_are_refused_and_both_are_named(system: System) -> None:
    system.broker()
    system.publisher("A", clock="monotonic")
    with pytest.raises(RegistrationRefused, match=r"realtime clock.*monotonic"):
        system.subscriber("A", clock="realtime")
    system.subscriber("B", clock="realtime")  # they never meet


def test_without_a_broker_the_wait_ends(system: System) -> None:
    with pytest.raises(BrokerUnreachable, match=str(system.port)):
        system.publisher("A", connect_timeout_s=0.2)


@pytest.mark.parametrize("forwarders", [2, 5])
def test_several_forwarders_deliver_each_event_once(forwarders: int) -> None:
    topics = [f"topic-{n}" for n in range(12)]
    with contextlib.ExitStack() as stack:
        system = System(stack, centralized=True)
        system.broker(forwarders=forwarders)
        everything = system.subscriber(*topics)
        half = system.subscriber(*topics[::2])
        publisher = system.publisher(*topics)
        publisher.wait_for_subscribers(2, WAIT_S)
        everything.wait_until_ready(WAIT_S)
        half.wait_until_ready(WAIT_S)
        for _ in range(10):
            for topic in topics:
                publisher.publish_event(topic, b"x")
        counted = collections.Counter(e.topic for e in take(everything, 120))
        assert counted == dict.fromkeys(topics, 10)
        take(half, 60)
        for subscriber in (everything, half):
            assert subscriber.counts().duplicated == 0
            assert subscriber.receive(0.2) is None


def test_a_limited_broker_forwards_exactly_that_many(tmp_path: object) -> None:
    with contextlib.ExitStack() as stack:
        system = System(stack, centralized=True)
        broker = system.broker(indefinite=False, max_event_count=25)
        subscriber = system.subscriber("A")
        publisher = system.publisher("A")
        publisher.wait_for_subscribers(1, WAIT_S)
        for _ in range(100):
            publisher.publish_event("A", b"x")
        take(subscriber, 25)
        wait_for(lambda: broker.event_count == 25, "the count")
        assert subscriber.receive(0.2) is None
