"""The broker of a group from which a subscriber gets each topic, and how it learns of a
change."""

from __future__ import annotations

import itertools
import math

import pytest

from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.control.topic_spread import ranking
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.defaults import NOTIFY_DELAY_S, SPREAD_DELAY_S
from pubsub_common.protocol.messages import TopicPort

HOME = "10.0.0.1:5555"
OTHERS = {"10.0.0.2:5555": (7001, 7002), "10.0.0.3:5555": (7003,)}
MANY = 10_000
# All changes are due.
LATER = math.inf


class Bench:
    """The places of the topics of one broker's subscribers, and the places that these
    were last told."""

    def __init__(self) -> None:
        self.registry, self.own = MemoryRegistry(), MemoryRegistry()
        self.places = TopicPlaces(
            self.registry, self.own, lambda topics: dict.fromkeys(topics, 6000)
        )
        self.places.set_brokers(HOME, OTHERS, 0.0)
        self.sessions = itertools.count(1)
        self.told: dict[int, dict[str, TopicPort]] = {}

    def subscriber(self, *topics: str, own: bool = True) -> Client:
        client = Client(
            session=next(self.sessions),
            role="subscriber",
            address="10.0.1.1",
            topics=topics,
            clock="realtime",
        )
        self.registry.put(client)
        if own:
            self.own.put(client)
        self.places.count(topics, 0.0)
        if own:
            self.told[client.session] = self.places.ports_of(client, topics)
        return client

    def leave(self, client: Client) -> None:
        self.registry.remove(client.session)
        self.own.remove(client.session)
        self.told.pop(client.session, None)
        self.places.count(client.topics, 0.0)

    def move(self) -> int:
        """The number of subscribers with a new place."""
        moves = list(self.places.moves(MANY, LATER))
        for move in moves:
            assert self.told[move.session][move.topic] != move.port
            self.told[move.session][move.topic] = move.port
        assert self.places.due_at is None
        return len(moves)

    def check(self) -> None:
        """All subscribers know the current places."""
        for client in self.own.clients():
            ports = self.places.ports_of(client, client.topics)
            assert self.told[client.session] == ports


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_broker_that_is_alone_forwards_everything(bench: Bench) -> None:
    bench.places.set_brokers(HOME, {}, 0.0)
    client = bench.subscriber("a", "b")
    assert bench.told[client.session] == {"a": 6000, "b": 6000}
    assert bench.places.due_at is None


def test_topics_of_few_subscribers_are_at_one_broker_each(bench: Bench) -> None:
    names = [f"topic/{number}" for number in range(60)]
    client = bench.subscriber(*names)
    bench.move()

    ports = bench.told[client.session]
    assert set(ports.values()) == {
        6000,
        "10.0.0.2:7001",
        "10.0.0.2:7002",
        "10.0.0.3:7003",
    }
    for name, port in ports.items():
        first = ranking(name, [HOME, *OTHERS])[0]
        assert first == HOME if port == 6000 else str(port).startswith(first[:9])
    other = bench.subscriber(*names)
    assert bench.told[other.session] == ports


def test_a_topic_that_is_all_there_is_is_at_home(bench: Bench) -> None:
    clients = [bench.subscriber("a") for _ in range(16)]
    bench.move()
    assert {bench.told[each.session]["a"] for each in clients} == {6000}


def test_a_subscriber_with_wildcards_has_everything_at_home(bench: Bench) -> None:
    names = [f"topic/{number}" for number in range(20)]
    client = bench.subscriber("#", *names)
    assert set(bench.places.ports_of(client, names).values()) == {6000}
    bench.places.set_brokers(HOME, {}, 0.0)
    assert bench.move() == 0


def test_what_a_broker_had_is_told_anew_when_it_is_gone(bench: Bench) -> None:
    names = [f"topic/{number}" for number in range(60)]
    client = bench.subscriber(*names)
    bench.move()
    before = dict(bench.told[client.session])

    bench.places.set_brokers(HOME, {"10.0.0.3:5555": (7003,)}, 1.0)
    assert bench.places.due_at is not None
    moved = bench.move()

    after = bench.told[client.session]
    gone = {name for name in names if str(before[name]).startswith("10.0.0.2")}
    assert 0 < len(gone) == moved
    assert {name for name in names if before[name] != after[name]} == gone
    bench.check()
    bench.places.set_brokers(HOME, OTHERS, 2.0)
    assert bench.move() == moved
    assert bench.told[client.session] == before


def test_a_broker_that_was_restarted_forwards_from_other_ports(bench: Bench) -> None:
    names = [f"topic/{number}" for number in range(60)]
    client = bench.subscriber(*names)
    bench.move()
    there = [p for p in bench.told[client.session].values() if p == "10.0.0.3:7003"]

    bench.places.set_brokers(HOME, {**OTHERS, "10.0.0.3:5555": (7999,)}, 1.0)

    assert bench.move() == len(there) > 0
    assert "10.0.0.3:7999" in bench.told[client.session].values()
    bench.check()


def test_a_topic_that_comes_to_be_wanted_is_at_more_brokers(bench: Bench) -> None:
    """Subscribers at a broker that forwards it now get it there."""
    for number in range(64):
        bench.subscriber(*(f"topic/{number}/{each}" for each in range(16)), own=False)
    topic = next(
        name
        for name in map("hot/{}".format, itertools.count())
        if ranking(name, [HOME, *OTHERS])[1] == HOME
    )
    client = bench.subscriber(topic)
    elsewhere = bench.told[client.session][topic]
    assert elsewhere != 6000

    others = [bench.subscriber(topic, own=False) for _ in range(200)]
    bench.move()
    assert bench.told[client.session][topic] == 6000
    bench.check()
    for each in others[:100]:  # half of them leave: it stays
        bench.leave(each)
    assert bench.move() == 0
    for each in others[100:]:
        bench.leave(each)
    bench.move()
    assert bench.told[client.session][topic] == elsewhere


def test_what_nobody_here_has_any_more_is_forgotten(bench: Bench) -> None:
    clients = [bench.subscriber(f"topic/{number}", "common") for number in range(50)]
    for client in clients:
        bench.leave(client)
    assert bench.places._told == {}
    bench.places.set_brokers(HOME, {}, 1.0)
    assert bench.move() == 0


def test_changes_are_told_in_turns(bench: Bench) -> None:
    names = [f"topic/{number}" for number in range(300)]
    bench.subscriber(*names)
    bench.move()
    bench.places.set_brokers(HOME, {}, 1.0)

    told = [len(list(bench.places.moves(20, LATER)))]
    while bench.places.due_at is not None:
        told.append(len(list(bench.places.moves(20, LATER))))

    assert max(told) <= 20
    assert len(told) > 10


def test_a_topic_gets_more_brokers_after_the_handshakes_of_its_subscribers(
    bench: Bench,
) -> None:
    """A publisher that waits for the last of them publishes at once."""
    bench.subscriber(*(f"other/{number}" for number in range(9)))
    clients = [bench.subscriber("a") for _ in range(3)]
    bench.move()
    clients += [bench.subscriber("a") for _ in range(13)]

    assert bench.places.due_at == NOTIFY_DELAY_S
    assert list(bench.places.moves(MANY, NOTIFY_DELAY_S)) == []
    assert bench.places.due_at == NOTIFY_DELAY_S + SPREAD_DELAY_S
    assert list(bench.places.moves(MANY, SPREAD_DELAY_S)) == []
    assert bench.move() > 0
    assert {bench.told[each.session]["a"] for each in clients} == {6000}


def test_a_topic_leaves_a_broker_that_is_gone_at_once(bench: Bench) -> None:
    bench.subscriber(*(f"topic/{number}" for number in range(60)))
    bench.move()
    bench.places.set_brokers(HOME, {}, 1.0)
    assert list(bench.places.moves(MANY, 1.0 + NOTIFY_DELAY_S))
