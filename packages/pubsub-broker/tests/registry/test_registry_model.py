"""The views of subscribers at every moment, compared with a list of the clients.

`test_core_with_clients.py` loses messages and checks the final state: there the next
registration repairs a wrong push. Here nothing is lost, so every push must be right by
itself, as soon as it is sent. And this test has cases that are missing there:
publishers displaced at their address, other topics or another role under the same
session, leases that expire between two requests, rejected requests, garbage.

The registry itself is compared with a model in `test_registry.py`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.rings import examples

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    Rejected,
    Send,
)
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Disconnected,
    Error,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Request,
    Role,
)
from pubsub_common.protocol.versions import VERSIONS

LEASE_S = 6.0
EPOCH = 99
MAX_CLIENTS = 6
TOPICS = ("A", "B", "C")

topic_lists = st.lists(
    st.sampled_from(TOPICS), min_size=1, max_size=3, unique=True
).map(tuple)
hosts = st.integers(1, 3)
roles: st.SearchStrategy[Role] = st.sampled_from(("publisher", "subscriber"))
some_strengths = st.dictionaries(st.sampled_from(TOPICS), st.integers(0, 2), max_size=2)
pick = st.integers(0, 9)


@dataclasses.dataclass
class Program:
    """A client and its view."""

    name: str
    role: Role
    topics: tuple[str, ...]
    address: str
    strengths: dict[str, int]
    renewed_at: float = 0.0
    session: int | None = None
    connection: int = 0
    revision: int = 0
    view: dict[int, PublisherInfo] = dataclasses.field(default_factory=dict)
    ended: dict[int, dict[str, int]] = dataclasses.field(default_factory=dict)
    # Its connection broke, and the broker has received nothing since.
    unreachable: bool = False
    spoke_by: bytes = b""  # its last connection

    @property
    def peer(self) -> bytes:
        return f"{self.name}/{self.connection}".encode()


def address_of(role: Role, host: int) -> str:
    return f"10.0.0.{host}:5556" if role == "publisher" else f"10.0.0.{host}"


class BrokerMachine(RuleBasedStateMachine):
    model: Model = "decentralized"

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.registry = MemoryRegistry()
        fresh = itertools.count(1)
        self.broker = BrokerCore(
            self.model,
            self.registry,
            epoch=EPOCH,
            lease_s=LEASE_S,
            new_session=lambda: next(fresh),
            ports=lambda topics: dict.fromkeys(topics, 7000),
            max_clients=MAX_CLIENTS,
            is_lost=lambda peer: peer in self.lost,
        )
        self.lost: set[bytes] = set()  # connections that the broker knows to be closed
        self.names = map("p{}".format, itertools.count())
        self.live: list[Program] = []  # the model: the registered clients
        self.gone: list[Program] = []  # former clients, which may come back
        self.attached: list[str] = []
        self.refused = 0

    # The model, searched completely

    def expected(self, subscriber: Program) -> dict[int, PublisherInfo]:
        found = {}
        for program in self.live:
            topics = [t for t in program.topics if t in subscriber.topics]
            if program.role == "publisher" and topics:
                assert program.session is not None
                found[program.session] = PublisherInfo(
                    session=program.session,
                    topics=topics,
                    address=program.address if self.model == "decentralized" else None,
                    strengths={
                        topic: strength
                        for topic, strength in program.strengths.items()
                        if topic in topics
                    },
                )
        return found

    def one_of(self, number: int, programs: list[Program]) -> Program:
        return programs[number % len(programs)]

    def drop(self, program: Program) -> None:
        self.live.remove(program)
        self.gone.append(program)

    def displaced_by(self, program: Program) -> list[Program]:
        """A publisher replaces another one at its address."""
        return [
            other
            for other in self.live
            if (other.role, other.address) == (program.role, program.address)
            and other is not program
            and program.role == "publisher"
        ]

    # The wire, which only loses messages to closed connections

    def send(self, peer: bytes, request: Request) -> Reply:
        """The reply to a request; pushes are read on the way."""
        data = messages.encode(request)
        replies = self.perform(self.broker.receive(peer, data, self.now), peer)
        assert len(replies) == 1
        return replies[0]

    def perform(self, effects: list[Effect], asking: bytes = b"") -> list[Reply]:
        replies: list[Reply] = []
        for effect in effects:
            match effect:
                case Send(peer, message):
                    # Through the wire format: a value that cannot be encoded fails.
                    reply = messages.decode_reply(messages.encode(message))
                    if isinstance(reply, PublishersChanged):
                        self.take_push(peer, reply)
                    else:
                        assert peer == asking
                        replies.append(reply)
                case Attach(address):
                    self.attached.append(address)
                case Detach(address):
                    self.attached.remove(address)
        return replies

    def take_push(self, peer: bytes, push: PublishersChanged) -> None:
        for program in self.live:
            if program.peer != peer:
                continue
            assert program.role == "subscriber"
            assert push.revision == program.revision + 1
            program.revision = push.revision
            for departure in push.left:
                # No client gets the departure of a client that it never knew.
                del program.view[departure.session]
                program.ended[departure.session] = dict(departure.next_sequences)
            for info in push.joined:
                # Of a known publisher only the strengths may change.
                known = program.view.get(info.session, info)
                assert (known.topics, known.address) == (info.topics, info.address)
                program.view[info.session] = info
            return
        # Otherwise the connection broke, and the revision in the next `alive` shows it.

    def registration(self, program: Program, session: int | None) -> Register:
        program.strengths = {
            topic: strength
            for topic, strength in program.strengths.items()
            if topic in program.topics and program.role == "publisher"
        }
        return Register(
            id=5,
            versions=VERSIONS,
            role=program.role,
            topics=list(program.topics),
            address=program.address,
            clock="realtime",
            model=self.model if program.role == "subscriber" else None,
            session=session,
            strengths=program.strengths,
        )

    def register(self, program: Program, session: int | None) -> None:
        request = self.registration(program, session)
        displaced = self.displaced_by(program)
        if program not in self.live and not displaced and len(self.live) >= MAX_CLIENTS:
            data = messages.encode(request)
            effects = self.broker.receive(program.peer, data, self.now)
            self.check_refused(effects, program.peer, messages.TOO_MANY)
            return
        for other in displaced:
            self.drop(other)
        if program in self.gone:
            self.gone.remove(program)
        if program not in self.live:
            self.live.append(program)
        program.renewed_at = self.now
        program.unreachable = False
        program.spoke_by = program.peer
        reply = self.send(program.peer, request)
        assert isinstance(reply, Registered)
        assert reply.id == 5
        assert reply.epoch == EPOCH
        assert session in (None, reply.session)
        others = [p.session for p in (*self.live, *self.gone) if p is not program]
        assert reply.session not in others
        program.session = reply.session
        program.revision = reply.revision
        program.view = {info.session: info for info in reply.publishers}
        is_subscriber = program.role == "subscriber"
        assert program.view == (self.expected(program) if is_subscriber else {})
        wants_ports = is_subscriber and self.model == "centralized"
        assert reply.ports == (
            dict.fromkeys(program.topics, 7000) if wants_ports else {}
        )

    # Clients that join and leave

    @rule(role=roles, topics=topic_lists, host=hosts, strengths=some_strengths)
    def start(
        self, role: Role, topics: tuple[str, ...], host: int, strengths: dict[str, int]
    ) -> None:
        address = address_of(role, host)
        self.register(Program(next(self.names), role, topics, address, strengths), None)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def ask_twice(self, number: int) -> None:
        """The first reply was late: it is still one client."""
        program = self.one_of(number, self.live)
        before = program.session
        if not program.unreachable:
            self.register(program, None)
            assert program.session == before

    @precondition(lambda self: self.live or self.gone)
    @rule(number=pick, strengths=some_strengths | st.none())
    def register_again(self, number: int, strengths: dict[str, int] | None) -> None:
        program = self.one_of(number, self.live + self.gone)
        if strengths is not None:
            program.strengths = strengths
        self.register(program, program.session)

    @precondition(lambda self: self.live)
    @rule(number=pick, strength=st.integers(0, 2))
    def change_strengths(self, number: int, strength: int) -> None:
        """Nothing else changes: subscribers get the same publisher again."""
        program = self.one_of(number, self.live)
        program.strengths = dict.fromkeys(program.topics, strength)
        self.register(program, program.session)

    @precondition(lambda self: self.live or self.gone)
    @rule(number=pick, role=roles, topics=topic_lists, host=hosts)
    def register_as_another(
        self, number: int, role: Role, topics: tuple[str, ...], host: int
    ) -> None:
        """The same session registers with other data."""
        program = self.one_of(number, self.live + self.gone)
        changed = dataclasses.replace(
            program, role=role, topics=topics, address=address_of(role, host)
        )
        moved = (role, changed.address) != (program.role, program.address)
        known = program.spoke_by == program.peer or program.spoke_by in self.lost
        if program in self.live and moved and not known:
            data = messages.encode(self.registration(changed, program.session))
            effects = self.broker.receive(program.peer, data, self.now)
            self.check_refused(effects, program.peer, messages.SESSION_IN_USE)
            return
        program.role, program.topics, program.address = role, topics, changed.address
        self.register(program, program.session)

    @precondition(lambda self: self.live or self.gone)
    @rule(
        number=pick,
        ends=st.dictionaries(st.sampled_from((*TOPICS, "other")), st.integers(0, 9)),
    )
    def disconnect(self, number: int, ends: dict[str, int]) -> None:
        program = self.one_of(number, self.live + self.gone)
        assert program.session is not None
        # none if it has left before, or its departure was sent
        told: list[Program] = []
        if program in self.live:
            for other in self.live:
                info = self.expected(other).get(program.session)
                if info and not other.unreachable:
                    told += [other] if other.view.get(program.session) == info else []
            self.drop(program)
        request = Disconnect(id=6, session=program.session, next_sequences=ends)

        assert self.send(program.peer, request) == Disconnected(id=6)

        self.flush()
        for subscriber in told:
            if subscriber is not program:
                wanted = {
                    topic: number
                    for topic, number in ends.items()
                    if topic in subscriber.topics and topic in program.topics
                }
                assert subscriber.ended[program.session] == wanted

    # Connections and leases

    @precondition(lambda self: self.live or self.gone)
    @rule(number=pick)
    def heartbeat(self, number: int) -> None:
        program = self.one_of(number, self.live + self.gone)
        assert program.session is not None
        known = program in self.live
        was_unreachable = program.unreachable
        request = Heartbeat(id=7, session=program.session, revision=program.revision)
        reply = self.send(program.peer, request)

        assert isinstance(reply, Alive)
        assert (reply.id, reply.epoch, reply.known) == (7, EPOCH, known)
        if not known:
            return
        program.renewed_at = self.now
        program.unreachable = False
        program.spoke_by = program.peer
        if was_unreachable and reply.revision > program.revision:
            self.register(program, program.session)  # as the protocol requires
        assert reply.revision == program.revision

    @precondition(lambda self: self.live)
    @rule(number=pick, noticed=st.booleans())
    def lose_connection(self, number: int, *, noticed: bool) -> None:
        program = self.one_of(number, self.live)
        if noticed:
            self.lost.add(program.peer)
        program.connection += 1
        program.unreachable = True

    @rule(seconds=st.sampled_from([0.0, 0.01, 2.0, 5.9, LEASE_S]))
    def pass_time(self, seconds: float) -> None:
        """Nothing happens meanwhile: leases may have expired at the next request."""
        self.now += seconds

    @rule()
    def tick(self) -> None:
        due = [p for p in self.live if p.renewed_at + LEASE_S <= self.now]
        for program in due:
            self.drop(program)
        effects = self.broker.tick(self.now)
        departed = [e.client.session for e in effects if isinstance(e, Departed)]
        assert sorted(departed) == sorted(p.session or 0 for p in due)
        self.perform(effects)

    @precondition(lambda self: self.broker.next_deadline() is not None)
    @rule()
    def tick_when_due(self) -> None:
        due = self.broker.next_deadline()
        assert due is not None
        self.now = max(self.now, due)
        self.tick()
        after = self.broker.next_deadline()
        assert after is None or after > self.now

    # Events that must change nothing

    @rule(
        data=st.binary(max_size=20)
        | st.sampled_from([b"{}", b"[" * 5000, b'{"type":"heartbeat","id":1}'])
    )
    def say_garbage(self, data: bytes) -> None:
        for peer in [b"stranger", *(program.peer for program in self.live[:1])]:
            effects = self.broker.receive(peer, data, self.now)
            self.check_refused(effects, peer, messages.MALFORMED)

    @rule(
        number=pick,
        fault=st.sampled_from(
            [
                (messages.WRONG_VERSION, {"versions": [2, 3]}),
                (messages.BAD_TOPIC, {"topics": ["a\n"]}),
                (messages.BAD_ADDRESS, {"address": "10.0.0.1:0"}),
                (messages.WRONG_CLOCK, {"clock": "sundial"}),
            ]
        ),
    )
    def register_in_vain(
        self, number: int, fault: tuple[str, dict[str, object]]
    ) -> None:
        code, changes = fault
        fields: dict[str, object] = {
            "type": "register",
            "id": 8,
            "versions": VERSIONS,
            "role": "publisher",
            "topics": ["A", "B"],
            "address": "10.0.0.1:5556",
            "clock": "realtime",
            **changes,
        }
        peer = b"stranger"
        if self.live:  # under the session of a registered client
            program = self.one_of(number, self.live)
            fields["session"], peer = program.session, program.peer
        data = messages.encode(fields)

        self.check_refused(self.broker.receive(peer, data, self.now), peer, code)

    def check_refused(self, effects: list[Effect], peer: bytes, code: str) -> None:
        self.refused += 1
        first, second = effects
        assert isinstance(first, Send)
        assert isinstance(first.message, Error)
        assert (first.peer, first.message.code) == (peer, code)
        assert isinstance(second, Rejected)
        assert self.broker.refusals.count == self.refused

    # The views of subscribers

    @rule()
    def flush(self) -> None:
        self.perform(self.broker.flush())
        self.check_views(self.live)
        assert self.broker.flush() == []

    @rule(topic=st.sampled_from(TOPICS))
    def flush_a_topic(self, topic: str) -> None:
        self.perform(self.broker.flush([topic]))
        self.check_views(program for program in self.live if topic in program.topics)

    @precondition(lambda self: self.live)
    @rule(number=pick)
    def flush_one(self, number: int) -> None:
        program = self.one_of(number, self.live)
        self.perform(self.broker.flush(session=program.session))
        self.check_views([program])

    def check_views(self, programs: Iterable[Program]) -> None:
        for program in programs:
            if program.role == "subscriber" and not program.unreachable:
                assert program.view == self.expected(program), program.name

    @invariant()
    def the_registered_clients_are_those_of_the_model(self) -> None:
        status = self.broker.status(messages.StatusRequest(id=1), self.now)
        listed = {c.session: (c.role, c.address, c.topics) for c in status.clients}
        assert len(status.clients) == len(listed)
        assert listed == {
            p.session: (p.role, p.address, list(p.topics)) for p in self.live
        }

    @invariant()
    def the_broker_is_attached_to_the_publishers(self) -> None:
        publishers = [p.address for p in self.live if p.role == "publisher"]
        wanted = publishers if self.model == "centralized" else []
        assert sorted(self.attached) == sorted(wanted)

    @invariant()
    def nothing_is_kept_of_clients_that_left(self) -> None:
        kept, live = (
            self.broker._notifications,
            {program.session for program in self.live},
        )
        assert self.registry.count() == len(live)
        assert kept._connections.keys() == live
        assert kept._pending.keys() <= live
        assert set(kept._session_by_peer.values()) <= live
        assert len(kept._session_by_peer) <= len(live)
        # Clients with queued changes are due to get them.
        assert not kept._pending or kept.flush_at is not None

    def teardown(self) -> None:
        self.flush()
        for program in list(self.live):
            self.heartbeat(self.live.index(program))
        self.flush()
        assert not any(program.unreachable for program in self.live)
        assert self.broker.next_deadline() == min(
            (program.renewed_at + LEASE_S for program in self.live), default=None
        )
        # Nothing remains of clients that are gone for good.
        self.now += LEASE_S
        self.tick()
        self.flush()
        assert self.live == []
        assert self.attached == []
        assert self.broker.next_deadline() is None


class CentralizedBrokerMachine(BrokerMachine):
    model: Model = "centralized"


_SETTINGS = settings(max_examples=examples(120), stateful_step_count=50)
BrokerMachine.TestCase.settings = _SETTINGS
CentralizedBrokerMachine.TestCase.settings = _SETTINGS
TestViewsDecentralized = BrokerMachine.TestCase
TestViewsCentralized = CentralizedBrokerMachine.TestCase
