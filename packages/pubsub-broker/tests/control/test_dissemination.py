"""The information about other clients that a client gets, in both models."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import pytest

from pubsub_broker.control.dissemination import Dissemination
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.grants import Grants
from pubsub_common.protocol.messages import Model, Role, Vouched

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def client(session: int, role: Role, *topics: str) -> Client:
    return Client(
        session=session,
        role=role,
        address=f"10.0.0.1:{session}",
        topics=topics,
        clock="realtime",
        strengths={"a": 1, "b": 2} if role == "publisher" else {},
        key=f"key-{session}",
    )


PUBLISHER = client(1, "publisher", "a", "b")
SUBSCRIBER = client(2, "subscriber", "b", "d/#")


def ports(topics: Iterable[str]) -> dict[str, int]:
    return {topic: ord(topic[0]) for topic in topics}


def dissemination(model: Model, grants: Grants | None = None) -> Dissemination:
    registry = MemoryRegistry()
    for each in (PUBLISHER, SUBSCRIBER, client(3, "publisher", "d/e")):
        registry.put(each)
    return Dissemination(model, registry, ports, grants)


def test_decentralized_a_subscriber_is_told_where_publishers_are() -> None:
    told = dissemination("decentralized")

    first, second = told.publishers_of(SUBSCRIBER)

    assert (first.address, first.topics, first.strengths, first.key) == (
        "10.0.0.1:1",
        ["b"],
        {"b": 2},
        "key-1",
    )
    assert (second.address, second.topics) == ("10.0.0.1:3", ["d/e"])
    assert told.ports_of(SUBSCRIBER, [first, second]) == {}
    assert told.ports(["a"]) == {}


def test_centralized_it_is_told_the_brokers_ports() -> None:
    told = dissemination("centralized")

    publishers = told.publishers_of(SUBSCRIBER)

    assert [(each.address, each.key) for each in publishers] == [(None, None)] * 2
    assert told.ports_of(SUBSCRIBER, publishers) == {"b": ord("b"), "d/e": ord("d")}
    assert told.ports(["a"]) == {"a": ord("a")}


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_a_publisher_is_told_neither(model: Model) -> None:
    told = dissemination(model)

    assert told.publishers_of(PUBLISHER) == []
    assert told.ports_of(PUBLISHER, []) == {}
    assert told.vouched(PUBLISHER) == []


def test_in_a_secure_broker_a_publisher_is_told_which_keys_to_accept() -> None:
    grants = Grants()
    grants.update([EnrolledKey("alice", "key-2", NOW)], None, NOW)

    vouched = dissemination("decentralized", grants).vouched(PUBLISHER)

    assert vouched == [Vouched(key="key-2")]
    assert dissemination("decentralized", grants).vouched(SUBSCRIBER) == []
    assert dissemination("centralized", grants).vouched(PUBLISHER) == []
