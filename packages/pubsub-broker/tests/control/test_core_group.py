"""Several cores on one engine: each decides for its own clients, and all have the same
state."""

from __future__ import annotations

import copy
import datetime

import pytest
from support.core_group import CoreGroup, CoreOfGroup
from support.etcd_group import EtcdGroup

from pubsub_broker.registry.log import GroupLog
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.grants import Grants
from pubsub_common.protocol.messages import (
    BrokersChanged,
    Error,
    Hello,
    HelloReply,
    Model,
    PublishersChanged,
    Registered,
    RegistryStatus,
    StatusRequest,
)

MODELS: tuple[Model, ...] = ("centralized", "decentralized")


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    found: Model = request.param
    return found


@pytest.fixture(params=["log", "etcd"])
def group(request: pytest.FixtureRequest, model: Model) -> CoreGroup:
    engine = GroupLog() if request.param == "log" else EtcdGroup(model)
    return CoreGroup(model, engine=engine)


def test_a_registration_is_answered_when_the_engine_has_written_it(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    one.register(b"p", "publisher", ["A"])
    assert one.take(b"p", Registered) == []
    assert one.clients() == two.clients() == {}

    group.settle()

    [reply] = one.take(b"p", Registered)
    assert group.agree()[reply.session][0] == one.name


def test_clients_of_two_brokers_hear_of_each_other(group: CoreGroup) -> None:
    one, two = group.brokers
    subscriber = one.registered(b"s", "subscriber", ["A", "B"])
    assert subscriber.publishers == []

    publisher = two.registered(b"p", "publisher", ["A"])

    assert publisher.listeners == {subscriber.session: 1}
    group.pass_time(0.1)
    [push] = one.take(b"s", PublishersChanged)
    [info] = push.joined
    assert (info.session, info.topics) == (publisher.session, ["A"])
    later = one.registered(b"t", "subscriber", ["A"])
    assert [info.session for info in later.publishers] == [publisher.session]


def test_of_two_that_register_at_once_the_later_one_knows_the_other(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    one.register(b"s", "subscriber", ["A"])
    two.register(b"p", "publisher", ["A"])
    group.settle()
    [subscriber] = one.take(b"s", Registered)
    [publisher] = two.take(b"p", Registered)
    assert publisher.listeners.keys() == {subscriber.session}


def test_one_that_leaves_is_told_of_with_its_numbers(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = two.registered(b"p", "publisher", ["A"])
    one.registered(b"s", "subscriber", ["A"])
    two.disconnect(b"p", publisher.session, A=7, other=3)
    group.pass_time(0.1)
    [push] = one.take(b"s", PublishersChanged)
    [left] = push.left
    assert (left.session, left.next_sequences) == (publisher.session, {"A": 7})
    assert publisher.session not in group.agree()


def test_a_client_moves_and_nobody_is_told(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    subscriber = one.registered(b"s", "subscriber", ["A"])

    again = two.registered(b"q", "publisher", ["A"], session=publisher.session)

    assert again.session == publisher.session
    assert again.listeners == {subscriber.session: 1}
    assert group.agree()[publisher.session][0] == two.name
    assert not one.heartbeat(b"p", publisher.session).known
    assert two.heartbeat(b"q", publisher.session).known
    assert one.moved == [publisher.session]
    for _ in range(4):
        group.pass_time(4.0)
        two.heartbeat(b"q", publisher.session)
        one.heartbeat(b"s", subscriber.session)
    assert one.take(b"s", PublishersChanged) == []
    assert one.departed == two.departed == []
    if group.model == "centralized":
        attached = [broker.attached for broker in group.brokers]
        assert ["10.0.0.1:5556"] in attached


def test_a_client_that_says_nothing_more_is_gone_everywhere_after_its_lease(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    subscriber = two.registered(b"s", "subscriber", ["A"])
    group.pass_time(5.0)
    two.heartbeat(b"s", subscriber.session)
    assert publisher.session in group.agree()
    group.pass_time(1.5)
    assert group.agree().keys() == {subscriber.session}
    [push] = two.take(b"s", PublishersChanged)
    assert [left.session for left in push.left] == [publisher.session]


def test_a_session_of_another_broker_is_taken_by_the_same_client_only(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    two.register(
        b"q", "publisher", ["A"], session=publisher.session, address="10.0.0.9:5556"
    )
    [error] = two.take(b"q", Error)
    assert error.code == "session_in_use"
    assert group.agree()[publisher.session][0] == one.name


def test_a_publisher_takes_the_address_of_another_brokers(group: CoreGroup) -> None:
    one, two = group.brokers
    first = one.registered(b"p", "publisher", ["A"])
    subscriber = one.registered(b"s", "subscriber", ["A"])
    second = two.registered(b"q", "publisher", ["A"])
    group.pass_time(0.1)
    [push] = one.take(b"s", PublishersChanged)
    assert [left.session for left in push.left] == [first.session]
    assert [info.session for info in push.joined] == [second.session]
    assert group.agree().keys() == {subscriber.session, second.session}
    assert first.session not in group.log.clients


def test_clients_of_a_broker_that_is_gone_stay_for_a_while(group: CoreGroup) -> None:
    one, two = group.brokers
    publishers = [
        one.registered(b"p", "publisher", ["A"], address="10.0.0.1:5556"),
        one.registered(b"q", "publisher", ["A"], address="10.0.0.1:5557"),
    ]
    subscriber = two.registered(b"s", "subscriber", ["A"])
    one.alive = False
    group.pass_time(3.5)
    assert group.log.brokers.keys() == {two.name}
    two.heartbeat(b"s", subscriber.session)
    two.registered(
        b"r", "publisher", ["A"], session=publishers[0].session, address="10.0.0.1:5556"
    )
    for _ in range(3):
        group.pass_time(4.0)
        two.heartbeat(b"s", subscriber.session)
        two.heartbeat(b"r", publishers[0].session)
    assert group.agree().keys() == {subscriber.session, publishers[0].session}
    [push] = two.take(b"s", PublishersChanged)
    assert [left.session for left in push.left] == [publishers[1].session]


def test_clients_are_told_of_the_brokers(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    assert publisher.brokers == [one.address, two.address]
    assert publisher.demand is not None
    assert publisher.demand.forwarders == ["forwarder 1", "forwarder 2"]

    three = group.add()
    group.pass_time(0.1)

    [push] = one.take(b"p", BrokersChanged)
    assert push == BrokersChanged(
        revision=1, brokers=[one.address, two.address, three.address]
    )
    demand = one.heartbeat(b"p", publisher.session).demand
    assert demand is not None
    assert len(demand.forwarders) == 3


def test_a_broker_that_comes_and_goes_in_a_moment_costs_one_push(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    one.registered(b"s", "subscriber", ["A"])
    two.alive = False
    group.pass_time(2.9)
    group.log.end(two.name)
    one.turn()
    group.add().alive = False
    group.settle()
    group.pass_time(0.1)
    pushes = one.take(b"s", BrokersChanged)
    assert [push.brokers for push in pushes] == [[one.address, "10.0.1.3:5555"]]


def test_a_broker_says_hello(group: CoreGroup) -> None:
    one, two = group.brokers
    one.registered(b"p", "publisher", ["A"])
    for broker, clients in (one, 1), (two, 0):
        broker.ask(b"x", Hello(id=3))
        [reply] = broker.take(b"x", HelloReply)
        assert reply == HelloReply(
            id=3,
            epoch=broker.epoch,
            model=group.model,
            clients=clients,
            brokers=[one.address, two.address],
        )


def test_a_report_has_all_clients_and_brokers(group: CoreGroup) -> None:
    one, two = group.brokers
    one.registered(b"p", "publisher", ["A"])
    two.registered(b"s", "subscriber", ["A"])
    two.registered(b"t", "subscriber", ["A"])

    status = one.core.status(StatusRequest(id=1), group.now)

    assert [each.broker for each in status.clients] == [
        one.address,
        two.address,
        two.address,
    ]
    assert [each.idle_s is None for each in status.clients] == [False, True, True]
    assert [(each.address, each.clients) for each in status.brokers] == [
        (one.address, 1),
        (two.address, 2),
    ]
    assert status.registry == RegistryStatus(group="lab", cut_off=False, cut_off_s=0)


def test_a_broker_that_is_gone_is_listed_while_it_has_clients(group: CoreGroup) -> None:
    one, two = group.brokers
    two.registered(b"s", "subscriber", ["A"])
    two.alive = False
    group.pass_time(4.0)
    status = one.core.status(StatusRequest(id=1), group.now)
    assert [(each.address, each.alive) for each in status.brokers] == [
        (one.address, True),
        (two.address, False),
    ]
    assert status.clients[0].broker == two.address
    group.pass_time(12.0)
    status = one.core.status(StatusRequest(id=1), group.now)
    assert [each.address for each in status.brokers] == [one.address]


def test_what_the_engine_could_not_take_is_refused(group: CoreGroup) -> None:
    one, _ = group.brokers
    topics = [f"{number:04}" + 250 * "x" for number in range(4096)]
    one.register(b"p", "publisher", topics)
    [error] = one.take(b"p", Error)
    assert error.code == "too_many"
    assert "in the registry of the group" in error.detail
    assert one.registered(b"p", "publisher", topics[:3500]).session in group.agree()


def test_limits_count_those_that_wait_for_the_engine() -> None:
    group = CoreGroup("decentralized", max_clients=2)
    one, two = group.brokers
    for number in range(3):
        one.register(b"%d" % number, "subscriber", ["A"])
    [error] = one.take(b"2", Error)
    assert error.code == "too_many"
    group.settle()
    # The clients of other brokers do not count, but one that moves here does.
    moving = two.registered(b"s", "subscriber", ["A"])
    two.registered(b"t", "subscriber", ["A"])
    one.register(b"s", "subscriber", ["A"], session=moving.session)
    [error] = one.take(b"s", Error)
    assert error.code == "too_many"
    assert len(group.agree()) == 4
    # A registered client may register again any number of times.
    one.sent.clear()
    [session, *_] = one.core.own.clients()
    one.registered(b"0", "subscriber", ["B"], session=session.session)


def test_a_connection_that_has_ended_is_not_listened_to(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    two.registered(b"q", "publisher", ["A"], session=publisher.session)
    one.lost.add(b"p")
    one.register(b"p", "publisher", ["A"], session=publisher.session)
    group.settle()
    assert group.agree()[publisher.session][0] == two.name
    assert one.sent == []


# Cut off from the engine


def cut(group: CoreGroup, *brokers: CoreOfGroup) -> None:
    """Cut these brokers off from the engine, and let them detect it."""
    for broker in brokers:
        broker.member.reachable = False
    for _ in range(4):
        group.pass_time(1.0)
        for broker in group.brokers:
            for client in list(broker.core.own.clients()):
                broker.heartbeat(broker.peers[client.session], client.session)


def heal(group: CoreGroup, *brokers: CoreOfGroup) -> None:
    for broker in brokers:
        broker.member.reachable = True
    if len(brokers) == len(group.brokers):
        group.log.restart(group.now)  # the engine itself was down
    group.settle()


def test_a_registration_that_waits_is_answered_when_the_broker_is_cut_off(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    one.register(b"p", "publisher", ["A"])
    one.member.reachable = False
    group.pass_time(2.5)
    assert one.take(b"p", Registered) == []
    group.pass_time(1.0)
    [reply] = one.take(b"p", Registered)
    alive = one.heartbeat(b"p", reply.session)
    assert (alive.known, alive.cut_off) == (True, True)
    assert two.clients() == {}
    heal(group, one)
    assert group.agree()[reply.session][0] == one.name
    assert not one.heartbeat(b"p", reply.session).cut_off
    assert one.take(b"p", Registered) == []


def test_without_an_engine_each_broker_goes_on_with_what_it_knows(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    there = one.registered(b"p", "publisher", ["A"])
    mine = one.registered(b"s", "subscriber", ["A", "B"])
    other = two.registered(b"t", "subscriber", ["A", "B"])
    cut(group, one, two)
    new = one.registered(b"q", "publisher", ["B"], address="10.0.0.1:6000")
    one.disconnect(b"p", there.session, A=4)
    group.pass_time(0.1)
    [push] = one.take(b"s", PublishersChanged)
    assert [info.session for info in push.joined] == [new.session]
    assert [left.next_sequences for left in push.left] == [{"A": 4}]
    assert two.take(b"t", PublishersChanged) == []

    heal(group, one, two)
    group.pass_time(0.1)

    assert group.agree().keys() == {new.session, mine.session, other.session}
    pushes = one.take(b"s", PublishersChanged)
    assert not any(push.joined or push.left for push in pushes)
    [push] = two.take(b"t", PublishersChanged)
    assert [info.session for info in push.joined] == [new.session]
    assert [left.next_sequences for left in push.left] == [{"A": 4}]


def test_nobody_is_gone_because_the_engine_was_away(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    for broker, peer in (one, b"s"), (two, b"t"):
        broker.registered(peer, "subscriber", ["A"])
    cut(group, one, two)
    # It loses its connection, and registers at the other broker.
    two.registered(b"q", "publisher", ["A"], session=publisher.session)
    for _ in range(12):
        group.pass_time(5.0)
        two.heartbeat(b"q", publisher.session)
    heal(group, one, two)
    group.pass_time(0.1)
    assert group.agree()[publisher.session][0] == two.name
    for broker, peer in (one, b"s"), (two, b"t"):
        assert broker.take(peer, PublishersChanged) == []
    assert one.moved == [publisher.session]


def test_one_that_said_nothing_meanwhile_is_gone_a_lease_later(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    cut(group, one, two)
    group.pass_time(60.0)
    assert publisher.session in group.agree()
    heal(group, one, two)
    group.pass_time(5.0)
    assert publisher.session in group.agree()
    group.pass_time(1.5)
    assert group.agree() == {}


def test_a_broker_that_was_cut_off_alone_writes_again_those_that_stayed(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    stays = one.registered(b"p", "publisher", ["A"], address="10.0.0.1:1")
    moves = one.registered(b"q", "publisher", ["A"], address="10.0.0.1:2")
    subscriber = two.registered(b"s", "subscriber", ["A"])
    cut(group, one)
    two.registered(
        b"r", "publisher", ["A"], address="10.0.0.1:2", session=moves.session
    )
    for _ in range(5):
        group.pass_time(4.0)
        one.heartbeat(b"p", stays.session)
        two.heartbeat(b"r", moves.session)
        two.heartbeat(b"s", subscriber.session)
    # Others remove the clients that their broker has not renewed for this long.
    [push] = two.take(b"s", PublishersChanged)
    assert [left.session for left in push.left] == [stays.session]
    heal(group, one)
    group.pass_time(0.1)
    known = group.agree()
    assert {session: broker for session, (broker, _) in known.items()} == {
        stays.session: one.name,
        moves.session: two.name,
        subscriber.session: two.name,
    }
    [push] = two.take(b"s", PublishersChanged)
    assert [info.session for info in push.joined] == [stays.session]
    assert one.heartbeat(b"p", stays.session).known
    assert not one.heartbeat(b"q", moves.session).known


def test_a_publisher_that_took_an_address_meanwhile_and_left_gives_it_back(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    first = two.registered(b"p", "publisher", ["A"])
    cut(group, one)
    second = one.registered(b"q", "publisher", ["A"])
    assert one.clients().keys() == {second.session}
    one.disconnect(b"q", second.session)
    heal(group, one)
    assert group.agree().keys() == {first.session}


def test_a_publisher_that_took_an_address_meanwhile_has_it_everywhere(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    first = two.registered(b"p", "publisher", ["A"])
    cut(group, one)
    second = one.registered(b"q", "publisher", ["A"])
    heal(group, one)
    assert group.agree().keys() == {second.session}
    assert not two.heartbeat(b"p", first.session).known
    assert first.session not in group.log.clients


def test_one_that_leaves_before_it_has_moved_is_gone(group: CoreGroup) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    two.register(b"q", "publisher", ["A"], session=publisher.session)
    two.disconnect(b"q", publisher.session, A=3)
    group.settle()
    assert group.agree() == {}
    assert group.log.clients == {}
    assert not one.heartbeat(b"p", publisher.session).known


def test_a_heartbeat_to_a_broker_that_waits_to_delete_is_not_known(
    group: CoreGroup,
) -> None:
    one, _ = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    one.member.reachable = False
    one.disconnect(b"p", publisher.session)
    assert not one.heartbeat(b"p", publisher.session).known
    # It is back before the engine was asked.
    one.register(b"p", "publisher", ["A"], session=publisher.session)
    heal(group, one)
    assert publisher.session in group.agree()
    assert one.heartbeat(b"p", publisher.session).known


def test_a_client_that_is_back_before_its_broker_was_told_that_it_had_moved(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    subscriber = two.registered(b"s", "subscriber", ["A"])
    cut(group, one)
    two.registered(b"q", "publisher", ["A"], session=publisher.session)
    one.member.reachable = True
    one.member.read(group.now)  # by the link, and not yet by the core
    one.register(b"p", "publisher", ["A"], session=publisher.session)
    group.settle()
    assert group.agree()[publisher.session][0] == one.name
    # The core has lost its connection, so it must register again.
    assert not one.heartbeat(b"p", publisher.session).known
    one.registered(b"r", "publisher", ["A"], session=publisher.session)
    assert one.heartbeat(b"r", publisher.session).known
    two.heartbeat(b"s", subscriber.session)
    assert two.take(b"s", PublishersChanged) == []


def test_one_that_lost_its_address_and_asks_for_it_again_has_it(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    first = one.registered(b"p", "publisher", ["A"])
    two.register(b"q", "publisher", ["A"])
    two.turn()
    one.register(b"p", "publisher", ["A"], session=first.session)
    one.member.read(group.now)
    for change in one.member.take_changes():
        one.perform(one.core.applied(change, group.now))
    assert first.session not in one.clients()
    group.settle()
    assert group.agree().keys() == {first.session}
    [reply] = one.take(b"p", Registered)
    assert reply.session == first.session


def test_a_lease_that_ends_while_its_client_registers_again_ends_nothing(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    group.pass_time(5.5)
    one.member.reachable = False
    one.register(b"p", "publisher", ["A"], session=publisher.session)
    group.pass_time(1.0)
    heal(group, one)
    [reply] = one.take(b"p", Registered)
    assert reply.session == publisher.session
    assert one.heartbeat(b"p", publisher.session).known
    assert one.departed == two.departed == []


def test_one_that_left_and_is_back_is_not_gone_with_its_brokers_lease(
    group: CoreGroup,
) -> None:
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"])
    one.disconnect(b"p", publisher.session)
    one.registered(b"p", "publisher", ["A"], session=publisher.session)
    cut(group, one)
    for _ in range(5):
        group.pass_time(4.0)
        assert one.heartbeat(b"p", publisher.session).known
    assert two.clients() == {}
    heal(group, one)
    assert one.heartbeat(b"p", publisher.session).known
    assert group.agree().keys() == {publisher.session}
    assert one.departed == []


# Revoked keys


def test_each_broker_expels_its_own_and_all_are_told(model: Model) -> None:
    grants = Grants()
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    everybody = [EnrolledKey(name, name.upper(), now) for name in ("alice", "bob")]
    grants.update(everybody, None, now)
    group = CoreGroup(model, grants=grants)
    one, two = group.brokers
    publisher = one.registered(b"p", "publisher", ["A"], key="ALICE")
    two.registered(b"s", "subscriber", ["A"], key="BOB")

    grants.update(everybody[1:], None, now)
    for broker in (two, one):
        broker.perform(broker.core.recheck_permissions(["ALICE"], group.now))
    group.pass_time(0.1)

    [error] = one.take(b"p", Error)
    assert error.code == "revoked"
    assert publisher.session not in group.agree()
    [push] = two.take(b"s", PublishersChanged)
    assert [(left.session, left.revoked) for left in push.left] == [
        (publisher.session, True)
    ]


def test_a_restored_backup_moves_nobody_back(model: Model) -> None:
    engine = EtcdGroup(model)
    group = CoreGroup(model, engine=engine)
    one, two = group.brokers
    moves = one.registered(b"p", "publisher", ["A"], address="10.0.0.1:1")
    for broker, peer in (one, b"s"), (two, b"t"):
        broker.registered(peer, "subscriber", ["A"])
    backup = copy.deepcopy(engine.etcd)
    two.registered(
        b"q", "publisher", ["A"], session=moves.session, address="10.0.0.1:1"
    )
    later = one.registered(b"r", "publisher", ["A"], address="10.0.0.1:2")
    group.pass_time(0.1)
    for broker, peer in (one, b"s"), (two, b"t"):
        broker.take(peer, PublishersChanged)

    engine.restore(backup, group.now)
    group.pass_time(0.1)

    known = group.agree()
    assert known[moves.session][0] == two.name
    assert known[later.session][0] == one.name
    assert two.heartbeat(b"q", moves.session).known
    assert two.moved == []
    for broker, peer in (one, b"s"), (two, b"t"):
        assert broker.take(peer, PublishersChanged) == []
