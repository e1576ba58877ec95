"""Subscribers with wildcards learn the matching topics, and no others."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.control import admission, client_metrics, membership
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.registry.interface import Client, topic_memory
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.grants import Grants
from pubsub_common.defaults import MAX_TOPICS_PER_CLIENT, TOPIC_MEMORY_PER_CLIENT
from pubsub_common.protocol.messages import (
    Disconnect,
    Heartbeat,
    Model,
    PublishersChanged,
    Register,
    Registered,
    Role,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.protocol.wildcards import matches

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
TOPICS = st.lists(st.sampled_from(["a", "a/b", "a/c", "d/b", "$x"]), min_size=1)
SUBSCRIPTIONS = st.lists(
    st.sampled_from(["#", "+", "a/+", "+/b", "a/#", "a", "$x", "d/b"]), min_size=1
)


def new_core(model: Model = "centralized", **options: Any) -> BrokerCore:
    sessions = iter(range(1, 100))
    return BrokerCore(
        model,
        MemoryRegistry(),
        epoch=1,
        lease_s=10.0,
        new_session=lambda: next(sessions),
        ports=lambda topics: {topic: 1000 + len(topic) for topic in topics},
        **options,
    )


def replies(effects: Iterable[Effect], peer: bytes) -> list[Any]:
    return [e.message for e in effects if isinstance(e, Send) and e.peer == peer]


def register(
    core: BrokerCore,
    peer: bytes,
    role: Role,
    topics: list[str],
    *,
    key: str | None = None,
    **more: Any,
) -> Registered:
    address = f"10.0.0.{len(peer)}" + (":5556" if role == "publisher" else "")
    request = Register(
        id=1,
        versions=VERSIONS,
        role=role,
        topics=topics,
        address=address,
        clock="realtime",
        **more,
    )
    [reply] = replies(core.register(peer, request, 0.0, key), peer)
    assert isinstance(reply, Registered), reply
    return reply


def test_a_subscriber_is_told_the_topics_that_match_and_their_ports() -> None:
    core = new_core()
    register(core, b"p", "publisher", ["a/b", "a/b/c", "d"])

    reply = register(core, b"ss", "subscriber", ["a/+", "e"])

    assert [info.topics for info in reply.publishers] == [["a/b"]]
    assert reply.ports == {"e": 1001, "a/b": 1003}


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_new_topics_are_told_as_they_appear(model: Model) -> None:
    core = new_core(model)
    register(core, b"ss", "subscriber", ["a/+"])
    publisher = register(core, b"p", "publisher", ["a/b", "z"])

    [push] = replies(core.flush(), b"ss")

    assert isinstance(push, PublishersChanged)
    assert [info.topics for info in push.joined] == [["a/b"]]
    assert push.ports == ({"a/b": 1003} if model == "centralized" else {})
    # It also publishes another topic from now on.
    register(core, b"p", "publisher", ["a/c", "a/b"], session=publisher.session)
    [push] = replies(core.flush(), b"ss")
    assert [info.topics for info in push.joined] == [["a/c", "a/b"]]


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_a_publisher_is_told_its_subscribers_and_how_many_topics_they_match(
    model: Model,
) -> None:
    """Those with wildcards may have some of the topics already, and learn of this
    publisher only later."""
    core = new_core(model)
    wild = register(core, b"s", "subscriber", ["a/+", "d"])
    named = register(core, b"ss", "subscriber", ["a/b", "a/c"])  # by name: all at once
    single = register(core, b"sss", "subscriber", ["d/#"])
    register(core, b"other", "subscriber", ["e"])

    publisher = register(core, b"p", "publisher", ["a/b", "a/c", "d"])
    subscribers = {wild.session: 3, named.session: 1, single.session: 1}
    assert publisher.listeners == subscribers
    other = register(core, b"pp", "publisher", ["d"], session=None)
    assert other.listeners == {wild.session: 1, single.session: 1}
    assert register(core, b"ssss", "subscriber", ["#"]).listeners == {}


def test_a_farewell_tells_where_the_matching_topics_ended() -> None:
    core = new_core()
    register(core, b"ss", "subscriber", ["a/#"])
    session = register(core, b"p", "publisher", ["a/b", "z"]).session
    core.flush()

    ends = {"a/b": 5, "z": 6, "a/unknown": 7}
    core.disconnect(b"p", Disconnect(id=2, session=session, next_sequences=ends), 0.0)

    [push] = replies(core.flush(), b"ss")
    assert [(each.session, each.next_sequences) for each in push.left] == [
        (session, {"a/b": 5})
    ]


def test_a_subscriber_without_wildcards_is_told_its_ports_once() -> None:
    core = new_core()
    register(core, b"ss", "subscriber", ["a"])
    register(core, b"p", "publisher", ["a"])

    [push] = replies(core.flush(), b"ss")

    assert push.ports == {}


@given(st.lists(st.tuples(st.booleans(), TOPICS, SUBSCRIPTIONS), max_size=8), st.data())
def test_the_registry_finds_what_matches(
    clients: list[tuple[bool, list[str], list[str]]], data: st.DataObject
) -> None:
    registry = MemoryRegistry()
    known: dict[int, Client] = {}
    for session, (publishes, topics, subscriptions) in enumerate(clients):
        role: Role = "publisher" if publishes else "subscriber"
        client = Client(
            session=session,
            role=role,
            address=f"p{session}",
            topics=tuple(dict.fromkeys(topics if publishes else subscriptions)),
            clock="realtime",
        )
        known[session] = client
        registry.put(client)
    for session in data.draw(st.sets(st.integers(0, 8))):
        registry.remove(session)
        known.pop(session, None)
    topics = data.draw(TOPICS)
    subscriptions = data.draw(SUBSCRIPTIONS)

    def fitting(role: Role, one: list[str], *, given: bool) -> set[int]:
        return {
            client.session
            for client in known.values()
            if client.role == role
            and any(
                matches(a, b) if given else matches(b, a)
                for a in one
                for b in client.topics
            )
        }

    found = [client.session for client in registry.matching("subscriber", topics)]
    assert sorted(found) == sorted(fitting("subscriber", topics, given=False))
    found = [client.session for client in registry.matching("publisher", subscriptions)]
    assert sorted(found) == sorted(fitting("publisher", subscriptions, given=True))


# Many topics


MANY = [f"t{number}" for number in range(MAX_TOPICS_PER_CLIENT)]


def peers(effects: Iterable[Effect]) -> list[bytes]:
    return [effect.peer for effect in effects if isinstance(effect, Send)]


def test_notifications_of_many_topics_are_made_in_turns() -> None:
    core = new_core("decentralized")
    names = [b"s%d" % number for number in range(20)]
    for name in names:
        register(core, name, "subscriber", ["#"])
    register(core, b"p", "publisher", MANY)

    turns = []
    while (due := core.next_deadline()) is not None and due < 1.0:
        turns.append(peers(core.tick(1.0)))

    assert [name for turn in turns for name in turn] == names
    assert max(map(len, turns)) <= 2


def test_a_publisher_that_leaves_between_two_turns() -> None:
    core = new_core("decentralized")
    names = [b"s%d" % number for number in range(5)]
    for name in names:
        register(core, name, "subscriber", ["#"])
    session = register(core, b"p", "publisher", MANY).session
    told = peers(core.tick(1.0))
    assert 0 < len(told) < len(names)

    core.disconnect(b"p", Disconnect(id=2, session=session), 1.0)

    # Subscribers that did not learn of it need not learn that it left.
    assert peers(core.flush()) == told
    assert core.next_deadline() == 10.0


def test_what_waits_for_one_subscriber_comes_in_several_messages() -> None:
    core = new_core("decentralized")
    register(core, b"ss", "subscriber", ["#"])
    for number in range(5):
        register(core, b"p" * (number + 1), "publisher", MANY)

    pushes = replies(core.flush(), b"ss")

    assert [push.revision for push in pushes] == list(range(1, len(pushes) + 1))
    assert 1 < len(pushes) <= 5
    assert sum(len(push.joined) for push in pushes) == 5


def refusal(core: BrokerCore, topics: list[str], origin: str = "10.0.0.9") -> str:
    """The reason why a publisher is rejected; empty if it is not."""
    request = Register(
        id=1,
        versions=VERSIONS,
        role="publisher",
        topics=topics,
        address=f"{origin}:{5000 + core.client_count}",
        clock="realtime",
    )
    peer = b"peer %d" % core.client_count
    [reply] = replies(core.register(peer, request, 0.0, origin=origin), peer)
    return "" if isinstance(reply, Registered) else reply.detail


def deep(count: int, levels: int) -> list[str]:
    return ["/".join([str(number), *"x" * (levels - 1)]) for number in range(count)]


def test_a_clients_topics_take_only_so_much_memory() -> None:
    assert refusal(new_core(), deep(MAX_TOPICS_PER_CLIENT, 16)) == ""
    assert refusal(new_core(), deep(MAX_TOPICS_PER_CLIENT, 64)) == (
        "4096 topics with this many levels are too many: they would take "
        f"{topic_memory(deep(MAX_TOPICS_PER_CLIENT, 64))} bytes; at most "
        f"{TOPIC_MEMORY_PER_CLIENT} are allowed per client"
    )


def test_the_topics_of_all_clients_take_only_so_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = deep(10, 10)
    monkeypatch.setattr(admission, "TOPIC_MEMORY", 2 * topic_memory(topics))
    core = new_core()
    assert refusal(core, topics) == ""
    assert "the topics of all clients from 10.0.0.9 would take more" in refusal(
        core, ["one"]
    )
    assert refusal(core, topics[:9], "10.0.0.8") == ""
    assert refusal(core, topics[9:], "10.0.0.7") == ""
    assert "the topics of all clients would take more" in refusal(
        core, ["one"], "10.0.0.7"
    )


def lost_of(core: BrokerCore) -> dict[str, int]:
    """The number of topics with losses that are kept for each subscriber, by its first
    topic."""
    told = core.status(StatusRequest(id=1), 0.0).clients
    return {each.topics[0]: len(each.lost) for each in told}


def test_losses_of_only_so_many_topics_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_metrics, "MAX_LOST_TOPICS", 150)
    core = new_core()
    sessions = [
        register(core, name.encode(), "subscriber", [name, "#"]).session
        for name in "abc"
    ]
    lost = {f"t{number}": number for number in range(1, 101)}

    for session in sessions:
        core.heartbeat(b"x", Heartbeat(id=1, session=session, lost=lost), 0.0)
    assert lost_of(core) == {"a": 100, "b": 50, "c": 16}
    # The largest losses; and freed room is available to others.
    assert core.status(StatusRequest(id=1), 0.0).clients[2].lost == {
        f"t{number}": number for number in range(85, 101)
    }
    core.disconnect(b"x", Disconnect(id=1, session=sessions[0]), 0.0)
    again = register(core, b"b", "subscriber", ["b", "+"], session=sessions[1])
    core.heartbeat(b"x", Heartbeat(id=1, session=again.session, lost=lost), 0.0)
    core.heartbeat(b"x", Heartbeat(id=1, session=sessions[2], lost=lost), 0.0)
    assert lost_of(core) == {"b": 100, "c": 50}


def test_publishers_that_left_are_remembered_as_far_as_memory_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "_DEPARTED_MEMORY", topic_memory(["a"]) * 5)
    grants = Grants()
    key = EnrolledKey("alice", "k", NOW)
    grants.update([key], None, NOW)
    core = new_core(grants=grants)
    for _ in range(8):
        reply = register(core, b"p", "publisher", ["a"], key="k")
        core.disconnect(b"p", Disconnect(id=1, session=reply.session), 0.0, "k")

    assert len(core._membership._departed) == 5
    assert core._membership._departed_memory == topic_memory(["a"]) * 5
