"""The registry, case by case and against a model that is a plain list."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
)
from support.rings import examples

from pubsub_broker.registry.interface import Client, topic_memory
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import Role
from pubsub_common.protocol.wildcards import is_filter, matches


def client(
    session: int,
    role: Role = "publisher",
    topics: Iterable[str] = ("A",),
    address: str = "",
    origin: str | None = None,
) -> Client:
    return Client(
        session=session,
        role=role,
        address=address or f"10.0.0.{session}:5556",
        topics=tuple(topics),
        clock="realtime",
        origin=origin,
    )


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


def sessions(clients: Iterable[Client]) -> list[int]:
    return [found.session for found in clients]


def test_a_client_that_was_put_is_found(registry: MemoryRegistry) -> None:
    publisher = client(1)

    assert registry.put(publisher) is None
    assert registry.get(1) is publisher
    assert registry.publisher_at("10.0.0.1:5556") is publisher
    assert list(registry.matching("publisher", ["A"])) == [publisher]
    assert list(registry.clients()) == [publisher]


def test_an_empty_registry_answers(registry: MemoryRegistry) -> None:
    assert registry.get(1) is None
    assert registry.remove(1) is None
    assert registry.publisher_at("10.0.0.1:5556") is None
    assert registry.count() == 0
    assert list(registry.matching("publisher", ["A"])) == []
    assert list(registry.clients()) == []


def test_a_client_replaces_the_one_of_its_session(registry: MemoryRegistry) -> None:
    before, after = client(1, topics=["A", "B"]), client(1, topics=["B", "C"])
    registry.put(before)

    assert registry.put(after) is before
    assert list(registry.matching("publisher", ["A"])) == []
    assert list(registry.matching("publisher", ["B"])) == [after]
    assert list(registry.matching("publisher", ["C"])) == [after]


def test_a_publisher_that_moves_is_found_at_its_new_address_only(
    registry: MemoryRegistry,
) -> None:
    registry.put(client(1, address="10.0.0.1:5556"))
    registry.put(client(1, address="10.0.0.1:5557"))

    assert registry.publisher_at("10.0.0.1:5556") is None
    assert sessions(registry.clients()) == [1]
    found = registry.publisher_at("10.0.0.1:5557")
    assert found is not None
    assert found.session == 1


def test_a_client_that_changes_its_role_leaves_nothing_behind(
    registry: MemoryRegistry,
) -> None:
    registry.put(client(1, "publisher"))
    registry.put(client(1, "subscriber", address="10.0.0.1"))

    assert registry.publisher_at("10.0.0.1:5556") is None
    assert list(registry.matching("publisher", ["A"])) == []
    assert sessions(registry.matching("subscriber", ["A"])) == [1]


def test_a_client_with_several_of_the_topics_is_listed_once(
    registry: MemoryRegistry,
) -> None:
    registry.put(client(1, topics=["A", "B", "C"]))

    assert sessions(registry.matching("publisher", ["C", "A", "B", "A"])) == [1]


def test_subscribers_and_publishers_of_a_topic_are_kept_apart(
    registry: MemoryRegistry,
) -> None:
    registry.put(client(1, "publisher"))
    registry.put(client(2, "subscriber", address="10.0.0.2"))

    assert sessions(registry.matching("publisher", ["A"])) == [1]
    assert sessions(registry.matching("subscriber", ["A"])) == [2]


def test_nothing_is_kept_of_clients_that_are_gone(registry: MemoryRegistry) -> None:
    for session in range(10):
        registry.put(client(session, topics=[f"topic {session}", "shared"]))
    for session in range(10):
        registry.remove(session)

    assert not registry._clients
    assert registry._index.empty
    assert not registry._by_address
    assert not registry._occupancy._by_origin
    assert registry.topic_memory() == 0


TOPICS = st.sampled_from(("A", "B", "A/B", "B/A/C", "$A", "$A/B"))
SUBSCRIPTIONS = TOPICS | st.sampled_from(("#", "+", "A/#", "+/B", "B/+/C", "$A/#"))
SESSIONS = st.integers(0, 7)
ROLES: st.SearchStrategy[Role] = st.sampled_from(("publisher", "subscriber"))


def memory(clients: Iterable[Client]) -> int:
    return sum(topic_memory(entry.topics) for entry in clients)


class RegistryMachine(RuleBasedStateMachine):
    """`MemoryRegistry` and a list of clients that is searched completely."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = MemoryRegistry()
        self.model: list[Client] = []

    def drop(self, session: int) -> Client | None:
        for known in self.model:
            if known.session == session:
                self.model.remove(known)
                return known
        return None

    @rule(
        session=SESSIONS,
        role=ROLES,
        names=st.lists(SUBSCRIPTIONS, min_size=1, max_size=4, unique=True),
        host=st.integers(1, 3),
    )
    def put(self, session: int, role: Role, names: list[str], host: int) -> None:
        topics = names
        if role == "publisher":
            topics = [name for name in names if not is_filter(name)] or ["A"]
        address = f"10.0.0.{host}:5556"
        if role == "publisher":
            # The caller must do this (see Registry.put): one publisher per address.
            earlier = self.registry.publisher_at(address)
            if earlier is not None and earlier.session != session:
                assert self.registry.remove(earlier.session) == self.drop(
                    earlier.session
                )
        origin = f"10.0.1.{host % 3}" if host < 3 else None
        new = client(session, role, topics, address, origin)
        previous = self.drop(session)
        self.model.append(new)

        assert self.registry.put(new) == previous

    @rule(session=SESSIONS)
    def remove(self, session: int) -> None:
        assert self.registry.remove(session) == self.drop(session)

    @rule(role=ROLES, topics=st.lists(TOPICS, max_size=4))
    def match(self, role: Role, topics: list[str]) -> None:
        expected = [
            entry.session
            for entry in self.model
            if entry.role == role
            and any(matches(each, topic) for topic in topics for each in entry.topics)
        ]

        assert sorted(sessions(self.registry.matching(role, topics))) == sorted(
            expected
        )

    @rule(topics=st.lists(TOPICS, max_size=4, unique=True))
    def subscribed(self, topics: list[str]) -> None:
        expected = {}
        for entry in self.model:
            common = [
                topic
                for topic in topics
                if any(matches(each, topic) for each in entry.topics)
            ]
            if entry.role == "subscriber" and common:
                wild = any(map(is_filter, entry.topics))
                expected[entry.session] = len(common) if wild else 1

        assert self.registry.subscribed(topics) == expected

    @rule(subscriptions=st.lists(SUBSCRIPTIONS, max_size=4, unique=True))
    def published(self, subscriptions: list[str]) -> None:
        expected = {}
        for entry in self.model:
            common = {
                topic
                for topic in entry.topics
                if any(matches(each, topic) for each in subscriptions)
            }
            if entry.role == "publisher" and common:
                expected[entry.session] = common

        found = self.registry.published(subscriptions)
        assert {key: set(topics) for key, topics in found.items()} == expected
        assert all(len(set(topics)) == len(topics) for topics in found.values())

    @invariant()
    def both_know_the_same(self) -> None:
        by_session = {entry.session: entry for entry in self.model}
        assert {c.session: c for c in self.registry.clients()} == by_session
        for session in range(8):
            assert self.registry.get(session) == by_session.get(session)
        for host in range(1, 4):
            address = f"10.0.0.{host}:5556"
            at = [
                entry
                for entry in self.model
                if entry.role == "publisher" and entry.address == address
            ]
            assert self.registry.publisher_at(address) == (at[0] if at else None)

    @invariant()
    def no_empty_entry_is_kept(self) -> None:
        assert self.registry._index.empty == (not self.model)
        publishers = [entry for entry in self.model if entry.role == "publisher"]
        assert len(self.registry._by_address) == len(publishers)
        origins = [entry.origin for entry in self.model]
        assert len(self.registry._occupancy._by_origin) == len(set(origins))
        for origin in filter(None, origins):
            there = [entry for entry in self.model if entry.origin == origin]
            assert self.registry.count_from(origin) == len(there)
            assert self.registry.topic_memory(origin) == memory(there)
        assert self.registry.topic_memory() == memory(self.model)


RegistryMachine.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40
)
TestRegistryAgainstModel = RegistryMachine.TestCase
