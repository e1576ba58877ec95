"""The behavior of every engine of a group, in memory or on a server of etcd."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from support.engines import (
    ALIVE_S,
    CLIENTS_S,
    Engine,
    LinkedEngine,
    Place,
    SteppedEngine,
)
from support.etcd_group import EtcdGroup
from support.etcd_servers import EtcdCluster, etcd_cluster

from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerWent,
    DeleteClient,
    LeftRecord,
    Overtaken,
    PutClient,
)
from pubsub_broker.registry.log import GroupLog

ENGINES = ("log", "model of etcd", "etcd")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as made:
        yield made


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "log":
        yield SteppedEngine(GroupLog(alive_s=ALIVE_S, clients_s=CLIENTS_S))
    elif request.param == "model of etcd":
        group = EtcdGroup("decentralized", alive_s=ALIVE_S, clients_s=CLIENTS_S)
        yield SteppedEngine(group)
    else:
        cluster = request.getfixturevalue("cluster")
        name = request.node.name.partition("[")[0][:60]
        with contextlib.ExitStack() as stack:
            yield LinkedEngine(cluster, name, stack)


def brokers(engine: Engine, *names: str) -> list[Place]:
    """Brokers with the same state that can write."""
    places = [engine.join(name) for name in names]
    engine.until(
        lambda: (
            all(alive(place) == set(names) for place in places)
            and not any(place.cut_off() for place in places)
        ),
        "all brokers are there",
    )
    return places


def alive(place: Place) -> set[str]:
    found: set[str] = set()
    for change in place.told:
        match change:
            case BrokerCame(broker=broker):
                found.add(broker)
            case BrokerWent(broker=broker):
                found.discard(broker)
    return found


def holders(place: Place) -> dict[int, str]:
    """The broker of each client, as reported."""
    found: dict[int, str] = {}
    for change in place.told:
        match change:
            case PutClient(record=record):
                found[record.client.session] = record.broker
            case DeleteClient(record=record):
                del found[record.client.session]
    return found


def until_all_hold(engine: Engine, wanted: dict[int, str], *places: Place) -> None:
    engine.until(
        lambda: all(holders(place) == wanted for place in places), f"all hold {wanted}"
    )


def departures(place: Place) -> list[DeleteClient]:
    return [change for change in place.told if isinstance(change, DeleteClient)]


def test_what_one_writes_is_told_to_all_once_in_one_order(engine: Engine) -> None:
    one, two = brokers(engine, "b1", "b2")
    for session in range(1, 21):
        (one if session % 2 else two).put(session)
    wanted = {number: "b1" if number % 2 else "b2" for number in range(1, 21)}
    until_all_hold(engine, wanted, one, two)
    puts = [
        [change for change in place.told if isinstance(change, PutClient)]
        for place in (one, two)
    ]
    assert puts[0] == puts[1]
    assert len(puts[0]) == 20


def test_of_two_that_write_a_client_at_once_one_is_overtaken(engine: Engine) -> None:
    one, two, other = brokers(engine, "b1", "b2", "b3")
    one.put(7)
    two.put(7)

    def one_has_lost() -> bool:
        return any(Overtaken(7) in place.told for place in (one, two))

    engine.until(one_has_lost, "one is overtaken")
    lost, won = (one, two) if Overtaken(7) in one.told else (two, one)
    until_all_hold(engine, {7: won.name}, one, two, other)
    assert Overtaken(7) not in won.told + other.told
    lost.put(7)  # its client retries
    until_all_hold(engine, {7: lost.name}, one, two, other)


def test_a_broker_that_had_a_client_cannot_delete_it_any_more(engine: Engine) -> None:
    one, two = brokers(engine, "b1", "b2")
    one.put(7)
    until_all_hold(engine, {7: "b1"}, one, two)
    two.put(7)
    until_all_hold(engine, {7: "b2"}, two)
    one.delete(7, LeftRecord())
    one.put(8)  # written after that
    until_all_hold(engine, {7: "b2", 8: "b1"}, one, two)
    assert departures(one) == departures(two) == []


def test_how_a_client_left_is_told_with_its_going(engine: Engine) -> None:
    one, two = brokers(engine, "b1", "b2")
    for left in (LeftRecord(next_sequences={"A": 4}), LeftRecord(revoked=True), None):
        one.put(7)
        until_all_hold(engine, {7: "b1"}, one, two)
        one.delete(7, left)
        until_all_hold(engine, {}, one, two)
        for place in (one, two):
            assert departures(place)[-1].left == left


def test_one_that_leaves_where_it_was_about_to_move_is_gone(engine: Engine) -> None:
    one, two = brokers(engine, "b1", "b2")
    one.put(7)
    until_all_hold(engine, {7: "b1"}, one, two)
    two.put(7)
    two.delete(7, LeftRecord(next_sequences={"A": 1}))
    until_all_hold(engine, {}, one, two)
    one.put(8)  # its other pending writes come before
    until_all_hold(engine, {8: "b1"}, one, two)


def test_clients_of_a_broker_that_is_gone_stay_until_their_lease_ends(
    engine: Engine,
) -> None:
    one, two = brokers(engine, "b1", "b2")
    for session in (1, 2, 3):
        one.put(session)
    until_all_hold(engine, {1: "b1", 2: "b1", 3: "b1"}, one, two)
    one.cut()
    engine.until(lambda: alive(two) == {"b2"}, "the broker is gone")
    assert holders(two) == {1: "b1", 2: "b1", 3: "b1"}
    two.put(2)
    until_all_hold(engine, {2: "b2"}, two)
    gone = departures(two)
    assert [change.left for change in gone] == [None, None]
    assert len({change.revision for change in gone}) == 1


def test_a_broker_that_is_cut_off_knows_it_and_writes_later(engine: Engine) -> None:
    one, two = brokers(engine, "b1", "b2")
    one.put(1)
    one.put(2)
    until_all_hold(engine, {1: "b1", 2: "b1"}, one, two)
    one.cut()
    engine.until(one.cut_off, "it knows")
    one.put(3)
    two.put(2)
    two.put(4)
    until_all_hold(engine, {2: "b2", 4: "b2"}, two)
    one.heal()
    until_all_hold(engine, {1: "b1", 2: "b2", 3: "b1", 4: "b2"}, one, two)
    engine.until(lambda: not one.cut_off(), "it can write again")
    assert alive(two) == {"b1", "b2"}


def test_a_broker_that_comes_later_is_told_of_all_that_is_there(engine: Engine) -> None:
    (one,) = brokers(engine, "b1")
    one.put(1)
    one.put(2)
    one.delete(1)
    until_all_hold(engine, {2: "b1"}, one)
    two = engine.join("b2")
    until_all_hold(engine, {2: "b1"}, two)
    engine.until(lambda: alive(two) == alive(one) == {"b1", "b2"}, "both are there")
    assert departures(two) == []
