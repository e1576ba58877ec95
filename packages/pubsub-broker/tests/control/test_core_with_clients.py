"""The broker's core and the clients' cores, connected by a wire that is a list.

No socket, no thread, no clock: the wire carries or loses bytes as the test decides, and
time is a number.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.rings import examples

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Attach, Detach, Effect, Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.client.identity import Identity
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    PublishersUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Model,
    PublisherInfo,
    Register,
    Role,
    TopicPort,
)

LEASE_S = 6.0
MODELS: tuple[Model, ...] = ("centralized", "decentralized")


class Member:
    """A client core, and the state of its shell: the publishers that it knows."""

    def __init__(self, name: str, identity: Identity, now: float) -> None:
        self.name = name
        self.identity = identity
        self.core = ClientSession(identity, now)
        self.publishers: dict[int, PublisherInfo] = {}
        self.ends: dict[int, dict[str, int]] = {}
        self.ports: dict[str, TopicPort] = {}
        self.updates: list[SessionUpdate] = []
        self.stopped = False  # like SIGSTOP
        self.connection = 0

    @property
    def peer(self) -> bytes:
        """The broker's name for this client's current connection."""
        return f"{self.name}/{self.connection}".encode()

    @property
    def session(self) -> int:
        assert self.core.session is not None
        return self.core.session

    def take(self, updates: list[SessionUpdate]) -> None:
        self.updates += updates
        for update in updates:
            match update:
                case Accepted(reply):
                    self.publishers = {info.session: info for info in reply.publishers}
                    self.ports = dict(reply.ports)
                case PublishersUpdated(joined, left):
                    for departure in left:
                        self.publishers.pop(departure.session, None)
                        self.ends[departure.session] = dict(departure.next_sequences)
                    self.publishers.update({info.session: info for info in joined})

    def seen(self, kind: type[SessionUpdate]) -> list[SessionUpdate]:
        return [update for update in self.updates if isinstance(update, kind)]


class World:
    """One broker at a time, any number of clients, and the wire between them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.now = 0.0
        self.members: dict[str, Member] = {}
        self.to_broker: deque[tuple[bytes, bytes]] = deque()
        self.to_client: deque[tuple[bytes, bytes]] = deque()
        self.lose: Callable[[bytes], bool] = lambda _data: False
        self.attached: list[str] = []
        self.broker: BrokerCore | None = None
        self._epochs = itertools.count(100)
        self._sessions = itertools.count(1)

    # Actions

    def start_broker(self) -> None:
        self.attached = []
        self.broker = BrokerCore(
            self.model,
            MemoryRegistry(),
            epoch=next(self._epochs),
            lease_s=LEASE_S,
            new_session=lambda: next(self._sessions),
            ports=lambda topics: dict.fromkeys(topics, 7000),
            now=self.now,
        )

    def kill_broker(self) -> None:
        """It dies without a message, and messages under way are lost."""
        self.broker = None
        self.to_broker.clear()
        self.to_client.clear()
        for member in self.members.values():
            member.connection += 1

    def restart_broker(self) -> None:
        self.kill_broker()
        self.start_broker()

    def stop_broker(self) -> None:
        """It stops normally."""
        assert self.broker is not None
        self.perform(self.broker.farewell())
        self.deliver()
        self.kill_broker()

    def add(self, name: str, role: Role, *topics: str, port: int = 0) -> Member:
        number = len(self.members) + 1
        address = f"10.0.0.{number}" + (
            f":{port or 5556}" if role != "subscriber" else ""
        )
        model = self.model if role == "subscriber" else None
        identity = Identity(role, topics, address, "realtime", model)
        member = self.members[name] = Member(name, identity, self.now)
        return member

    def leave(self, name: str, **next_sequences: int) -> None:
        member = self.members.pop(name)
        disconnect = member.core.leave(next_sequences)
        if disconnect is not None and self.broker is not None:
            self.to_broker.append((member.peer, messages.encode(disconnect)))
        self.deliver()

    def die(self, name: str) -> None:
        """The client dies without a message."""
        del self.members[name]

    # Time and the wire

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass in small steps; broker and clients handle everything that is
        due."""
        until = self.now + seconds
        while True:
            self.step()
            if self.now >= until:
                return
            self.now = min(until, self.now + 0.05)

    def step(self) -> None:
        for member in self.members.values():
            if not member.stopped:
                self.tick(member)
        self.deliver()
        if self.broker is not None:
            self.perform(self.broker.tick(self.now))
        self.deliver()

    def tick(self, member: Member) -> None:
        if self.broker is not None:
            member.core.connected(self.now)
        message, updates = member.core.tick(self.now)
        member.take(updates)
        if message is None:
            return
        if self.broker is None:
            member.core.send_failed(self.now)
        else:
            self.to_broker.append((member.peer, messages.encode(message)))

    def deliver(self) -> None:
        while self.to_broker or self.to_client:
            while self.to_broker:
                peer, data = self.to_broker.popleft()
                if self.broker is not None and not self.lose(data):
                    self.perform(self.broker.receive(peer, data, self.now))
            waiting: deque[tuple[bytes, bytes]] = deque()
            while self.to_client:
                peer, data = self.to_client.popleft()
                member = self.member_at(peer)
                if member is None or self.lose(data):
                    continue
                if member.stopped:
                    waiting.append((peer, data))
                    continue
                member.take(member.core.receive(messages.decode_reply(data), self.now))
                self.tick(member)
            self.to_client = waiting
            if not self.to_broker:
                return

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self.to_client.append((peer, messages.encode(message)))
                case Attach(address):
                    self.attached.append(address)
                case Detach(address):
                    self.attached.remove(address)

    def member_at(self, peer: bytes) -> Member | None:
        for member in self.members.values():
            if member.peer == peer:
                return member
        return None

    # Expectations

    def publishers(self) -> Iterator[Member]:
        for member in self.members.values():
            if member.identity.role == "publisher":
                yield member

    def expected(self, subscriber: Member) -> dict[int, PublisherInfo]:
        """The publishers that a subscriber should know."""
        found = {}
        for publisher in self.publishers():
            topics = [
                topic
                for topic in publisher.identity.topics
                if topic in subscriber.identity.topics
            ]
            if topics:
                found[publisher.session] = PublisherInfo(
                    session=publisher.session,
                    topics=topics,
                    address=(
                        publisher.identity.address
                        if self.model == "decentralized"
                        else None
                    ),
                )
        return found

    def check(self) -> None:
        """All clients are registered and have the right view."""
        assert self.broker is not None
        registered = {member.session for member in self.members.values()}
        status = self.broker.status(messages.StatusRequest(id=0), self.now)
        assert {client.session for client in status.clients} == registered
        for member in self.members.values():
            assert member.core.registered
            assert member.core.epoch == self.broker.epoch
            if member.identity.role == "subscriber":
                assert member.publishers == self.expected(member), member.name
                wants_ports = self.model == "centralized"
                topics = member.identity.topics
                assert member.ports == (
                    dict.fromkeys(topics, 7000) if wants_ports else {}
                )
        addresses = sorted(member.identity.address for member in self.publishers())
        if self.model == "centralized":
            assert sorted(self.attached) == addresses
        else:
            assert self.attached == []


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def losing(kind: str, times: int = 1) -> Callable[[bytes], bool]:
    """Lose this many messages of this type."""
    left = [times]

    def lose(data: bytes) -> bool:
        if left[0] and f'"type":"{kind}"'.encode() in data:
            left[0] -= 1
            return True
        return False

    return lose


ROLES: dict[str, tuple[Role, tuple[str, ...]]] = {
    "p": ("publisher", ("A", "B")),
    "q": ("publisher", ("B", "C")),
    "s": ("subscriber", ("A",)),
    "t": ("subscriber", ("B", "C")),
}


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations(["broker", "p", "q", "s", "t"]))[::7],
    ids="-".join,
)
def test_broker_and_clients_may_come_in_any_order(
    world: World, order: tuple[str, ...]
) -> None:
    for name in order:
        if name == "broker":
            world.start_broker()
        else:
            role, topics = ROLES[name]
            world.add(name, role, *topics)
        world.run(0.3)

    world.run(0.5)

    world.check()


def test_all_may_come_at_the_same_moment(world: World) -> None:
    world.start_broker()
    for number in range(20):
        world.add(f"p{number}", "publisher", "A", f"only {number}")
        world.add(f"s{number}", "subscriber", "A")

    world.run(0.1)

    world.check()
    changes = [len(m.seen(PublishersUpdated)) for m in world.members.values()]
    assert max(changes) <= 2  # changes are collected, not sent one by one


def test_clients_that_leave_are_gone_for_the_others(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A", "B")
    publisher = world.add("p", "publisher", "A", "B", "C")
    world.add("q", "publisher", "A")
    world.run(0.1)

    world.leave("p", A=10, B=20, C=30)
    world.run(0.1)

    world.check()
    assert subscriber.ends == {publisher.session: {"A": 10, "B": 20}}


def test_a_client_that_dies_is_gone_after_its_lease(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    publisher = world.add("p", "publisher", "A")
    world.run(0.1)

    world.die("p")
    world.run(LEASE_S - 1)
    assert publisher.session in subscriber.publishers
    world.run(1.5)

    world.check()
    assert subscriber.ends == {publisher.session: {}}


def test_clients_stay_for_as_long_as_they_renew_their_leases(world: World) -> None:
    world.start_broker()
    for name, (role, topics) in ROLES.items():
        world.add(name, role, *topics)

    world.run(20 * LEASE_S)

    world.check()
    assert all(len(member.seen(Accepted)) == 1 for member in world.members.values())
    assert not any(member.seen(BrokerLost) for member in world.members.values())


def test_clients_survive_a_restart_of_the_broker_under_their_sessions(
    world: World,
) -> None:
    world.start_broker()
    for name, (role, topics) in ROLES.items():
        world.add(name, role, *topics)
    world.run(0.1)
    sessions = {name: m.session for name, m in world.members.items()}

    world.restart_broker()
    world.run(2 * LEASE_S)

    world.check()
    assert {name: m.session for name, m in world.members.items()} == sessions
    assert all(len(member.seen(Accepted)) == 2 for member in world.members.values())


@pytest.mark.parametrize("pause_s", [0.1, LEASE_S / 2, 3 * LEASE_S])
def test_clients_find_the_broker_again_after_any_pause(
    world: World, pause_s: float
) -> None:
    world.start_broker()
    for name, (role, topics) in ROLES.items():
        world.add(name, role, *topics)
    world.run(0.1)

    world.kill_broker()
    world.run(pause_s)
    world.start_broker()
    world.run(2 * LEASE_S)

    world.check()


def test_after_a_farewell_clients_are_back_as_soon_as_the_broker_is(
    world: World,
) -> None:
    world.start_broker()
    for name, (role, topics) in ROLES.items():
        world.add(name, role, *topics)
    world.run(0.1)

    world.stop_broker()
    world.run(0.1)
    world.start_broker()
    world.run(1.0)

    world.check()
    for member in world.members.values():
        assert member.seen(BrokerLost) == [BrokerLost(farewell=True)]


def test_a_publisher_that_joins_in_the_last_moment_is_announced(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.run(0.1)
    publisher = world.add("p", "publisher", "A")
    world.tick(publisher)
    assert world.broker is not None
    while world.to_broker:
        peer, data = world.to_broker.popleft()
        world.perform(world.broker.receive(peer, data, world.now))

    world.stop_broker()

    assert list(subscriber.publishers) == [publisher.session]


def test_a_push_that_was_lost_is_made_good_at_the_next_heartbeat(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.run(0.1)
    world.lose = losing("publishers_changed")
    world.add("p", "publisher", "A")
    world.run(0.1)
    assert subscriber.publishers == {}

    world.run(LEASE_S / 3)

    world.check()
    assert len(subscriber.seen(Accepted)) == 2


def test_a_push_that_was_lost_is_made_good_at_the_next_push(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.run(0.1)
    world.lose = losing("publishers_changed")
    world.add("p", "publisher", "A")
    world.run(0.1)
    world.add("q", "publisher", "A")
    world.run(0.1)

    world.check()
    assert len(subscriber.seen(Accepted)) == 2


@pytest.mark.parametrize("kind", ["registered", "register"])
def test_a_first_registration_that_was_lost_is_tried_again(
    world: World, kind: str
) -> None:
    world.start_broker()
    world.lose = losing(kind)
    world.add("s", "subscriber", "A")
    world.add("p", "publisher", "A")

    # A client that lost the reply stays registered as a second client for one lease.
    world.run(2 * LEASE_S)

    world.check()


def test_views_are_right_while_a_client_whose_reply_was_lost_is_still_registered(
    world: World,
) -> None:
    world.start_broker()
    world.lose = losing("registered")
    subscriber = world.add("s", "subscriber", "A")
    world.run(2.5)  # registered by now, and a second time under the lost reply

    publisher = world.add("p", "publisher", "A")
    world.run(0.1)
    assert list(subscriber.publishers) == [publisher.session]
    world.leave("p")
    world.run(0.1)
    assert subscriber.publishers == {}


@pytest.mark.parametrize("kind", ["heartbeat", "alive"])
def test_a_heartbeat_that_was_lost_matters_to_nobody(world: World, kind: str) -> None:
    world.start_broker()
    world.add("s", "subscriber", "A")
    world.add("p", "publisher", "A")
    world.run(0.1)
    world.lose = losing(kind)

    world.run(2 * LEASE_S)

    world.check()
    assert all(len(member.seen(Accepted)) == 1 for member in world.members.values())


def test_a_client_that_was_stopped_for_a_lease_comes_back(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.add("p", "publisher", "A")
    world.run(0.1)
    session = subscriber.session
    subscriber.stopped = True
    world.run(2 * LEASE_S)
    world.add("q", "publisher", "A")
    world.run(0.1)
    assert world.broker is not None
    assert world.broker.own.get(session) is None

    subscriber.stopped = False
    world.run(1.0)

    world.check()
    assert subscriber.session == session


def test_a_publisher_that_was_stopped_for_a_lease_comes_back(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    publisher = world.add("p", "publisher", "A")
    world.run(0.1)
    session = publisher.session
    publisher.stopped = True
    world.run(2 * LEASE_S)
    assert subscriber.publishers == {}

    publisher.stopped = False
    world.run(1.0)

    world.check()
    assert list(subscriber.publishers) == [session]


def test_pushes_reach_a_client_whose_connection_broke(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.run(0.1)
    subscriber.connection += 1
    world.run(LEASE_S / 2)  # the broker learns it with the next heartbeat
    world.add("p", "publisher", "A")

    world.run(0.1)

    world.check()


def test_a_push_to_a_connection_that_broke_is_made_good(world: World) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    world.run(0.1)
    subscriber.connection += 1
    world.add("p", "publisher", "A")

    world.run(LEASE_S / 2)

    world.check()


def test_a_subscriber_of_the_other_model_is_told_so_and_gives_up(world: World) -> None:
    [other] = [model for model in MODELS if model != world.model]
    world.start_broker()
    member = world.add("s", "subscriber", "A")
    member.core = ClientSession(dataclasses.replace(member.identity, model=other), 0.0)

    world.run(3 * LEASE_S)

    [refused] = member.seen(Rejected)
    assert isinstance(refused, Rejected)
    assert refused.code == messages.WRONG_MODEL
    assert world.broker is not None
    assert world.broker.refusals.count == 1


def test_a_publisher_that_was_started_anew_at_its_address_replaces_itself(
    world: World,
) -> None:
    world.start_broker()
    subscriber = world.add("s", "subscriber", "A")
    first = world.add("p", "publisher", "A")
    world.run(0.1)
    world.die("p")
    again = world.add("p", "publisher", "A")
    again.core = ClientSession(first.identity, world.now)
    again.identity = first.identity
    again.connection = first.connection + 1

    world.run(0.1)

    assert again.session != first.session
    assert list(subscriber.publishers) == [again.session]
    world.check()


def test_each_registration_describes_the_client_in_full(world: World) -> None:
    world.start_broker()
    member = world.add("s", "subscriber", "A", "B")
    first, _ = member.core.tick(0.0)
    member.core.send_failed(0.0)
    second, _ = member.core.tick(1.0)

    assert isinstance(first, Register)
    assert isinstance(second, Register)
    assert (first.topics, first.address) == (second.topics, second.address)
    assert first.id != second.id


class WorldMachine(RuleBasedStateMachine):
    """Any actions in any order; after a quiet period all views are right."""

    model: Model = "decentralized"

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.model)
        self.world.start_broker()
        self.names = (f"n{number}" for number in itertools.count())

    def pick(self, number: int) -> str | None:
        names = list(self.world.members)
        return names[number % len(names)] if names else None

    @rule(
        role=st.sampled_from(("publisher", "subscriber")),
        topics=st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True),
    )
    def add(self, role: Role, topics: list[str]) -> None:
        if len(self.world.members) < 6:
            name = next(self.names)
            self.world.add(name, role, *topics, port=1000 + int(name[1:]))

    @rule(number=st.integers(0, 5))
    def leave(self, number: int) -> None:
        name = self.pick(number)
        if name is not None:
            self.world.leave(name, A=3)

    @rule(number=st.integers(0, 5))
    def die(self, number: int) -> None:
        name = self.pick(number)
        if name is not None:
            self.world.die(name)

    @rule(number=st.integers(0, 5))
    def stop_or_continue(self, number: int) -> None:
        name = self.pick(number)
        if name is not None:
            member = self.world.members[name]
            member.stopped = not member.stopped

    @rule(number=st.integers(0, 5))
    def break_connection(self, number: int) -> None:
        name = self.pick(number)
        if name is not None:
            self.world.members[name].connection += 1

    @rule(
        kind=st.sampled_from(
            ["register", "registered", "heartbeat", "alive", "publishers_changed"]
        ),
        times=st.integers(1, 3),
    )
    def lose_messages(self, kind: str, times: int) -> None:
        self.world.lose = losing(kind, times)

    @rule()
    def restart_broker(self) -> None:
        self.world.restart_broker()

    @rule()
    def end_and_start_broker(self) -> None:
        self.world.stop_broker()
        self.world.start_broker()

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 2.0, 7.0]))
    def run(self, seconds: float) -> None:
        self.world.run(seconds)

    @invariant()
    def nobody_is_refused(self) -> None:
        assert not any(member.seen(Rejected) for member in self.world.members.values())

    def teardown(self) -> None:
        self.world.lose = lambda _data: False
        for member in self.world.members.values():
            member.stopped = False
        self.world.run(2.5 * LEASE_S)
        self.world.check()


class CentralizedWorldMachine(WorldMachine):
    model: Model = "centralized"


_SETTINGS = settings(max_examples=examples(30), stateful_step_count=25)
WorldMachine.TestCase.settings = _SETTINGS
CentralizedWorldMachine.TestCase.settings = _SETTINGS
TestAnythingMayHappenDecentralized = WorldMachine.TestCase
TestAnythingMayHappenCentralized = CentralizedWorldMachine.TestCase
