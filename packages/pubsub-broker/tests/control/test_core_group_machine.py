"""Three brokers on one engine, and clients that move between them, at random.

Clients keep their leases, brokers are cut off, die and are replaced, and each reads,
writes and renews at random times. In the end all brokers have the same state: each
client at the broker of its last registration. And no subscriber gets a departure of a
publisher that is still there.
"""

from __future__ import annotations

import dataclasses
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support.core_group import LEASE_S, CoreGroup, CoreOfGroup
from support.etcd_group import EtcdGroup
from support.rings import examples

from pubsub_broker.registry.log import GroupLog
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    Disconnect,
    Error,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Role,
)
from pubsub_common.protocol.versions import VERSIONS

TOPICS = ("A", "B", "C")
pick = st.integers(0, 20)
topic_lists = st.lists(
    st.sampled_from(TOPICS), min_size=1, max_size=2, unique=True
).map(tuple)


@dataclasses.dataclass
class Program:
    """A client and its view."""

    name: str
    role: Role
    topics: tuple[str, ...]
    address: str
    broker: CoreOfGroup
    connection: int = 0
    session: int | None = None
    asked: int | None = None  # the id of the registration without a reply yet
    revision: int = 0
    view: dict[int, PublisherInfo] = dataclasses.field(default_factory=dict)
    brokers: list[str] = dataclasses.field(default_factory=list)

    @property
    def peer(self) -> bytes:
        return f"{self.name}/{self.connection}".encode()


class GroupMachine(RuleBasedStateMachine):
    model: Model = "decentralized"

    def __init__(self) -> None:
        super().__init__()
        self.group = CoreGroup(self.model, 3, engine=self.engine())
        self.names = map("c{}".format, itertools.count())
        self.hosts = itertools.count(1)
        self.live: list[Program] = []
        # Publishers for which departures may be sent.
        self.may_be_gone: set[int] = set()
        self.cut_since: dict[str, float] = {}

    def engine(self) -> GroupLog | EtcdGroup:
        return GroupLog()

    # Clients

    def one(self, number: int) -> Program:
        return self.live[number % len(self.live)]

    def brokers(self) -> list[CoreOfGroup]:
        return [broker for broker in self.group.brokers if broker.alive]

    def broker(self, number: int) -> CoreOfGroup:
        alive = self.brokers()
        return alive[number % len(alive)]

    def register(self, program: Program) -> None:
        program.asked = next(self.group.ids)
        request = Register(
            id=program.asked,
            versions=VERSIONS,
            role=program.role,
            topics=list(program.topics),
            address=program.address,
            clock="realtime",
            session=program.session,
        )
        program.broker.ask(program.peer, request)

    def take(self) -> None:
        """Let clients read their messages."""
        for broker in self.brokers():
            sent, broker.sent = broker.sent, []
            for peer, message in sent:
                for program in self.live:
                    if program.broker is broker and program.peer == peer:
                        self.take_in(program, message)

    def take_in(self, program: Program, message: object) -> None:
        match message:
            case Registered():
                if message.id != program.asked:
                    return
                program.asked = None
                assert program.session in (None, message.session)
                program.session = message.session
                program.revision = message.revision
                before = program.view
                program.view = {each.session: each for each in message.publishers}
                program.brokers = message.brokers
                # Publishers that have disappeared from the view count as departures,
                # too.
                for session in before.keys() - program.view.keys():
                    if self.has_heard(program, session):
                        self.check_gone(session)
            case PublishersChanged():
                if program.asked is not None:
                    return
                assert message.revision == program.revision + 1
                program.revision = message.revision
                for departure in message.left:
                    self.check_gone(departure.session)
                    del program.view[departure.session]
                for info in message.joined:
                    program.view[info.session] = info
            case BrokersChanged():
                if program.asked is not None:
                    return
                assert message.revision == program.revision + 1
                program.revision = message.revision
                program.brokers = message.brokers
            case Error():
                raise AssertionError(message)
            case Alive():
                # A client that is not known registers again.
                if not message.known and program.asked is None:
                    self.register(program)

    def check_gone(self, session: int) -> None:
        there = {program.session for program in self.live}
        assert session not in there - self.may_be_gone, f"{session} is not gone"

    def has_heard(self, program: Program, publisher: int) -> bool:
        """Whether the replying broker must know a publisher: it was written before. A
        broker that is cut off has its old state, and its own clients."""
        there = self.group.log.clients
        if (
            program.broker.core.cut_off
            or not {publisher, program.session} <= there.keys()
        ):
            return False
        written = there[publisher]
        if not set(written.record.client.topics) & set(program.topics):
            return False
        return written.revision < there[program.session or 0].revision

    @rule(
        role=st.sampled_from(("publisher", "subscriber")),
        topics=topic_lists,
        number=pick,
    )
    def joins(self, role: Role, topics: tuple[str, ...], number: int) -> None:
        host = f"10.0.0.{next(self.hosts) % 250}"
        address = f"{host}:5556" if role == "publisher" else host
        program = Program(next(self.names), role, topics, address, self.broker(number))
        self.live.append(program)
        self.register(program)

    @precondition(lambda self: self.live)
    @rule(number=pick, to=pick)
    def moves(self, number: int, to: int) -> None:
        program = self.one(number)
        # Until it knows its session, its request at another broker belongs to another
        # client.
        if program.session is not None:
            self.move(program, self.broker(to))

    def move(self, program: Program, broker: CoreOfGroup) -> None:
        program.broker = broker
        program.connection += 1
        self.register(program)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def registers_again(self, number: int) -> None:
        self.register(self.one(number))

    @precondition(lambda self: self.live)
    @rule(number=pick, topics=topic_lists)
    def registers_with_other_topics(self, number: int, topics: tuple[str, ...]) -> None:
        program = self.one(number)
        if program.session is None:
            return
        self.may_be_gone.add(program.session)
        program.topics = topics
        self.register(program)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def disconnects(self, number: int) -> None:
        program = self.one(number)
        if program.session is None or program.asked is not None:
            return
        self.live.remove(program)
        self.may_be_gone.add(program.session)
        request = Disconnect(id=1, session=program.session, next_sequences={})
        program.broker.ask(program.peer, request)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def disconnects_and_is_back(self, number: int) -> None:
        program = self.one(number)
        self.disconnects(number)
        if program not in self.live:
            self.live.append(program)
            self.register(program)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def dies(self, number: int) -> None:
        program = self.one(number)
        if program.session is not None:
            self.live.remove(program)
            self.may_be_gone.add(program.session)

    @precondition(lambda self: self.live)
    @rule(number=pick, to=pick, topics=topic_lists)
    def starts_again_at_its_address(
        self, number: int, to: int, topics: tuple[str, ...]
    ) -> None:
        program = self.one(number)
        if program.session is None or program.role != "publisher":
            return
        self.live.remove(program)
        self.may_be_gone.add(program.session)
        again = Program(
            next(self.names), program.role, topics, program.address, self.broker(to)
        )
        self.live.append(again)
        self.register(again)

    # Brokers

    @rule(number=pick, what=st.sampled_from(["read", "write", "renew", "turn"]))
    def does(self, number: int, what: str) -> None:
        broker = self.broker(number)
        if what == "turn":
            broker.turn()
        elif broker.member.reachable:
            getattr(broker.member, what)(self.group.now)
        self.take()

    @rule(number=pick)
    def is_cut_off(self, number: int) -> None:
        broker = self.broker(number)
        if broker.member.reachable:
            broker.member.reachable = False
            self.cut_since[broker.name] = self.group.now

    @rule()
    def engine_is_away(self) -> None:
        for place in range(len(self.brokers())):
            self.is_cut_off(place)

    @rule()
    def all_heal(self) -> None:
        for broker in self.brokers():
            broker.member.reachable = True
            self.cut_since.pop(broker.name, None)

    @rule(number=pick)
    def is_replaced(self, number: int) -> None:
        broker = self.broker(number)
        broker.alive = False
        self.cut_since.setdefault(broker.name, self.group.now)
        self.group.brokers.remove(broker)
        self.group.add()
        for place, program in enumerate(self.live):
            if program.broker is broker:
                self.move(program, self.broker(number + place))

    # Time

    @rule(seconds=st.sampled_from([0.02, 0.5, 2.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.group.now + seconds
        while self.group.now < until:
            self.group.now = min(self.group.now + 1.0, until)
            for program in self.live:
                if program.session is not None and program.asked is None:
                    request = Heartbeat(
                        id=next(self.group.ids), session=program.session
                    )
                    program.broker.ask(program.peer, request)
                elif program.asked is not None:
                    self.register(program)
            self.note_partitions()
            self.group.settle()
            self.take()

    def note_partitions(self) -> None:
        """After the long lease, other brokers remove the clients of a broker that is
        cut off or dead, unless another broker has written them."""
        for name, since in self.cut_since.items():
            if self.group.now >= since + self.group.log.clients_s - 1.0:
                self.may_be_gone |= {
                    session
                    for session, change in self.group.log.clients.items()
                    if change.record.broker == name
                }

    # In the end

    @rule()
    def all_calms_down(self) -> None:
        self.all_heal()
        self.time_passes(1.0)
        self.time_passes(2 * LEASE_S + self.group.log.clients_s)
        self.check()

    def check(self) -> None:
        known = self.group.agree()
        where = {session: broker for session, (broker, _) in known.items()}
        assert where == {p.session: p.broker.name for p in self.live}
        written = self.group.log.clients
        assert where == {
            session: change.record.broker for session, change in written.items()
        }
        addresses = sorted(broker.address for broker in self.brokers())
        for program in self.live:
            assert program.asked is None
            assert program.brokers == addresses
            if program.role == "subscriber":
                assert program.view.keys() == {
                    other.session
                    for other in self.live
                    if other.role == "publisher"
                    and set(other.topics) & set(program.topics)
                }
        for broker in self.brokers():
            core = broker.core
            own = {p.session for p in self.live if p.broker is broker}
            assert {client.session for client in core.own.clients()} == own
            assert core._notifications._connections.keys() == own
            assert not core._agreement._leaving
            assert core._agreement._provisional.empty
            assert core._agreement._pending.occupancy.count == 0

    def teardown(self) -> None:
        self.all_calms_down()


class CentralizedGroupMachine(GroupMachine):
    model: Model = "centralized"


class EtcdGroupMachine(GroupMachine):
    """The same with the code that talks to etcd."""

    def engine(self) -> EtcdGroup:
        return EtcdGroup(self.model)

    @rule()
    def etcd_is_compacted(self) -> None:
        engine = self.group.log
        assert isinstance(engine, EtcdGroup)
        engine.etcd.compact()


_SETTINGS = settings(max_examples=examples(40), stateful_step_count=40)
GroupMachine.TestCase.settings = _SETTINGS
CentralizedGroupMachine.TestCase.settings = _SETTINGS
EtcdGroupMachine.TestCase.settings = _SETTINGS
TestGroupOnEtcd = EtcdGroupMachine.TestCase
TestGroupDecentralized = GroupMachine.TestCase
TestGroupCentralized = CentralizedGroupMachine.TestCase
