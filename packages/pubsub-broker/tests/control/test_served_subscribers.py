"""The subscribers of a group that may come to a broker: all that are sent to it, and
few others."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.protocol.messages import TopicPort

BROKERS = tuple(f"10.0.0.{number}:5555" for number in range(1, 9))
MANY = 1_000_000


class Bench:
    """The views of each broker on the same subscribers."""

    def __init__(self, *brokers: str) -> None:
        self.registry = MemoryRegistry()
        self.sessions = itertools.count(1)
        self.homes: dict[int, str] = {}
        self.served: dict[str, ServedSubscribers] = {}
        self.begun: dict[str, set[int]] = {}
        for each in brokers:
            self.add(each)
        self.set_brokers(brokers)

    def add(self, broker: str) -> None:
        self.served[broker] = ServedSubscribers(
            self.registry, lambda session: self.homes[session] == broker
        )
        self.begun[broker] = set()
        for client in self.registry.clients():
            if self.served[broker].came(client, 0.0):
                self.begun[broker].add(client.session)

    def set_brokers(self, brokers: tuple[str, ...]) -> None:
        for broker in brokers:
            others = [each for each in brokers if each != broker]
            self.served[broker].set_brokers(broker, others, 0.0)
        self.settle()

    def subscriber(self, home: str, *topics: str) -> Client:
        session = next(self.sessions)
        client = Client(
            session=session,
            role="subscriber",
            address="10.0.1.1",
            topics=topics,
            clock="realtime",
        )
        self.homes[session] = home
        self.registry.put(client)
        for broker, served in self.served.items():
            if served.came(client, 0.0):
                self.begun[broker].add(session)
        return client

    def leaves(self, client: Client) -> None:
        self.registry.remove(client.session)
        for broker, served in self.served.items():
            assert served.gone(client, 0.0) == (client.session in self.begun[broker])
            self.begun[broker].discard(client.session)

    def settle(self) -> None:
        for broker, served in self.served.items():
            for client, comes in served.changes(MANY):
                assert comes != (client.session in self.begun[broker])
                (self.begun[broker].add if comes else self.begun[broker].remove)(
                    client.session
                )
            assert served.due_at is None

    def check(self) -> None:
        for broker, served in self.served.items():
            for client in self.registry.clients():
                assert served.has(client.session) == (
                    client.session in self.begun[broker]
                )


def test_a_topic_of_one_subscriber_concerns_few_brokers() -> None:
    bench = Bench(*BROKERS)
    for number in range(1000):
        bench.subscriber(BROKERS[number % 8], f"topic/{number}")
    bench.settle()

    numbers = [len(bench.begun[broker]) for broker in BROKERS]
    assert sum(numbers) < 1500
    assert all(numbers)


def test_brokers_that_come_and_go_move_what_concerns_them() -> None:
    bench = Bench(*BROKERS[:4])
    for number in range(400):
        bench.subscriber(BROKERS[0], f"topic/{number}")
    bench.settle()
    before = {broker: set(begun) for broker, begun in bench.begun.items()}

    bench.add(BROKERS[4])
    bench.set_brokers(BROKERS[:5])

    every = set().union(*bench.begun.values())
    assert every == set(range(1, 401))
    assert bench.begun[BROKERS[4]]
    bench.check()
    del bench.served[BROKERS[4]], bench.begun[BROKERS[4]]
    bench.set_brokers(BROKERS[:4])
    assert bench.begun == before


def test_one_with_wildcards_comes_to_its_own_broker_only() -> None:
    bench = Bench(*BROKERS[:2])
    client = bench.subscriber(BROKERS[0], "#", "a")
    one, two = (bench.served[broker] for broker in BROKERS[:2])
    assert (one.has(client.session), two.has(client.session)) == (True, False)
    assert one.moved(client) is None

    bench.homes[client.session] = BROKERS[1]

    assert one.moved(client) is False
    assert two.moved(client) is True
    assert (one.has(client.session), two.has(client.session)) == (False, True)


def test_changes_are_looked_at_in_turns() -> None:
    bench = Bench(BROKERS[0])
    for number in range(200):
        bench.subscriber(BROKERS[0], f"topic/{number}")
    bench.settle()
    served = bench.served[BROKERS[0]]
    served.set_brokers(BROKERS[0], BROKERS[1:], 3.0)

    assert served.due_at == 3.0
    turns = [len(list(served.changes(20)))]
    while served.due_at is not None:
        turns.append(len(list(served.changes(20))))
    assert max(turns) <= 20
    assert sum(turns) > 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["comes", "comes", "crowd", "leaves", "brokers"]),
        st.integers(0, 30),
        st.sampled_from([1, 1, 5, 40]),
    ),
    max_size=25,
)


class Sender:
    """The first broker of a bench, which tells its subscribers where to go."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.own = MemoryRegistry()
        self.places = TopicPlaces(
            bench.registry, self.own, lambda topics: dict.fromkeys(topics, 1)
        )
        self.home = BROKERS[0]
        self.told: dict[int, dict[str, str]] = {}
        self.clients: list[Client] = []

    def set_brokers(self, number: int) -> None:
        """The group has this many brokers now."""
        for gone in [each for each in self.bench.served if each in BROKERS[number:]]:
            del self.bench.served[gone], self.bench.begun[gone]
        for new in [each for each in BROKERS[:number] if each not in self.bench.served]:
            self.bench.add(new)
        self.bench.set_brokers(BROKERS[:number])
        self.places.set_brokers(self.home, dict.fromkeys(BROKERS[1:number], (1,)), 0.0)

    def comes(self, topic: str) -> None:
        client = self.bench.subscriber(self.home, topic)
        self.clients.append(client)
        self.own.put(client)
        self.places.count(client.topics, 0.0)
        ports = self.places.ports_of(client, client.topics)
        self.told[client.session] = {
            each: self.broker_at(port) for each, port in ports.items()
        }

    def leaves(self, index: int) -> None:
        if self.clients:
            client = self.clients.pop(index % len(self.clients))
            del self.told[client.session]
            self.own.remove(client.session)
            self.bench.leaves(client)
            self.places.count(client.topics, 0.0)

    def settle(self) -> None:
        self.bench.settle()
        for move in self.places.moves(MANY, math.inf):
            self.told[move.session][move.topic] = self.broker_at(move.port)

    def broker_at(self, port: TopicPort) -> str:
        return self.home if isinstance(port, int) else f"{host_of(port)}:5555"


@given(steps, st.integers(1, 8), st.data())
def test_brokers_are_ready_for_all_that_are_sent_to_them(
    history: list[tuple[str, int, int]], number: int, data: st.DataObject
) -> None:
    """For any history, and any count that the subscriber's own broker may have."""
    bench = Bench(*BROKERS[:number])
    sender = Sender(bench)
    sender.set_brokers(number)
    for what, choice, times in history:
        if what == "brokers":
            sender.set_brokers(1 + choice % len(BROKERS))
            sender.settle()
        for _ in range(times):
            if what == "leaves":
                sender.leaves(choice)
            elif what == "comes":
                sender.comes(f"topic/{choice}")
            elif what == "crowd":  # so many topics that few brokers expect each of them
                for other in range(10):
                    sender.comes(f"topic/{choice}/{other}/{times}")
        if data.draw(st.booleans()):
            sender.settle()
            bench.check()
            for session, where in sender.told.items():
                for broker in where.values():
                    assert bench.served[broker].has(session)
