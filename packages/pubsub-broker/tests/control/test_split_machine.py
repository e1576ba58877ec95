"""For any events at brokers and clients of a centralized group, subscribers are sent to
existing brokers, and these are attached to the publishers that they want."""

from __future__ import annotations

import dataclasses

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.core_group import CoreGroup, CoreOfGroup
from support.rings import examples

from pubsub_common.protocol.matching import matching_topics
from pubsub_common.protocol.messages import (
    PublishersChanged,
    Registered,
    Role,
    TopicPort,
)

TOPICS = tuple(f"t/{number}" for number in range(8))
topic_lists = st.lists(
    st.sampled_from(TOPICS), min_size=1, max_size=4, unique=True
).map(tuple)
subscriptions = topic_lists | st.sampled_from([("#",), ("t/+", "t/1")])
pick = st.integers(0, 9)


@dataclasses.dataclass
class Program:
    """A client, and the places of its topics."""

    role: Role
    topics: tuple[str, ...]
    address: str
    broker: CoreOfGroup
    session: int = 0
    ports: dict[str, TopicPort] = dataclasses.field(default_factory=dict)
    moves: int = 0

    @property
    def peer(self) -> bytes:
        return f"{self.address}/{self.moves}".encode()


class SplitMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.group = CoreGroup("centralized", brokers=2)
        self.programs: list[Program] = []
        self.hosts = iter(range(1, 10_000))

    def live(self) -> list[CoreOfGroup]:
        return [broker for broker in self.group.brokers if broker.alive]

    def broker(self, number: int) -> CoreOfGroup:
        live = self.live()
        return live[number % len(live)]

    def program(self, number: int) -> Program:
        return self.programs[number % len(self.programs)]

    def register(self, program: Program) -> None:
        session = program.session or None
        program.broker.register(
            program.peer,
            program.role,
            program.topics,
            address=program.address,
            session=session,
        )
        self.group.settle()
        [reply] = program.broker.take(program.peer, Registered)
        program.session, program.ports = reply.session, dict(reply.ports)

    def pass_time(self, seconds: float) -> None:
        """All brokers and clients renew."""
        until = self.group.now + seconds
        while self.group.now < until:
            for each in self.programs:
                assert each.broker.heartbeat(each.peer, each.session).known
            self.group.pass_time(min(2.0, until - self.group.now))
        self.take()

    def take(self) -> None:
        for each in self.programs:
            for push in each.broker.take(each.peer, PublishersChanged):
                each.ports.update(push.ports)

    # Rules

    @rule(topics=topic_lists, number=pick)
    def publisher(self, topics: tuple[str, ...], number: int) -> None:
        address = f"10.1.0.{next(self.hosts)}:5556"
        self.programs.append(Program("publisher", topics, address, self.broker(number)))
        self.register(self.programs[-1])

    @rule(topics=subscriptions, number=pick, count=st.sampled_from([1, 1, 1, 9]))
    def subscriber(self, topics: tuple[str, ...], number: int, count: int) -> None:
        for each in range(count):
            address = f"10.2.0.{next(self.hosts)}"
            program = Program("subscriber", topics, address, self.broker(number + each))
            self.programs.append(program)
            self.register(program)

    @precondition(lambda self: self.programs)
    @rule(number=pick)
    def leaves(self, number: int) -> None:
        program = self.program(number)
        self.programs.remove(program)
        program.broker.disconnect(program.peer, program.session)

    @precondition(lambda self: self.programs)
    @rule(number=pick, to=pick)
    def moves(self, number: int, to: int) -> None:
        program = self.program(number)
        program.broker, program.moves = self.broker(to), program.moves + 1
        self.register(program)

    @precondition(lambda self: self.programs)
    @rule(number=pick, topics=topic_lists)
    def wants_others(self, number: int, topics: tuple[str, ...]) -> None:
        program = self.program(number)
        program.topics = topics
        self.register(program)

    @precondition(lambda self: len(self.live()) < 4)
    @rule()
    def broker_comes(self) -> None:
        self.group.add()
        self.group.settle()

    @precondition(lambda self: len(self.live()) > 1)
    @rule(number=pick)
    def broker_is_killed(self, number: int) -> None:
        """Its clients move when they detect it, before its lease expires."""
        killed = self.broker(number)
        killed.alive = False
        for program in self.programs:
            if program.broker is killed:
                program.broker, program.moves = self.broker(number), program.moves + 1
                self.register(program)
        self.pass_time(4.0)

    @rule(seconds=st.sampled_from([0.5, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    # Invariants, when the brokers have done all pending work

    @invariant()
    def subscribers_are_served_where_they_are_sent(self) -> None:
        for _ in range(3):
            self.group.pass_time(0.05)
        self.take()
        self.check_attached()
        forwarding = {}
        for broker in self.live():
            host = broker.address.rpartition(":")[0]
            forwarding[f"{host}:{7000 + broker.epoch}"] = broker
        publishers = [each for each in self.programs if each.role == "publisher"]
        for program in self.programs:
            if program.role != "subscriber":
                continue
            wanted = [
                publisher
                for publisher in publishers
                if matching_topics(publisher.topics, program.topics)
            ]
            addresses = {publisher.address for publisher in wanted}
            host = program.broker.address.rpartition(":")[0]
            for topic in {t for each in wanted for t in each.topics}:
                if not matching_topics([topic], program.topics):
                    continue
                port = program.ports[topic]
                place = port if isinstance(port, str) else f"{host}:{port}"
                assert place in forwarding, "a broker that is there"
                assert addresses <= set(forwarding[place].attached)

    def check_attached(self) -> None:
        addresses = {each.address for each in self.programs}
        for broker in self.live():
            assert len(set(broker.attached)) == len(broker.attached)
            assert set(broker.attached) <= addresses

    def teardown(self) -> None:
        for program in self.programs:
            program.broker.disconnect(program.peer, program.session)
        self.programs.clear()
        self.group.pass_time(15.0)
        for broker in self.live():
            assert broker.attached == []
            core = broker.core
            assert core._places is not None
            assert core._served is not None
            assert (core._places._told, core._places.due_at) == ({}, None)
            assert (core._served._reaches, core._served._here) == ({}, {})
            assert core._served._ranks == {}


SplitMachine.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=20, deadline=None
)
TestSplit = SplitMachine.TestCase
