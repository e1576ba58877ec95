"""The rates of publishers from the counts in their heartbeats, with time as a number."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.control.publish_rates import PublishRates
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import (
    ClientStatus,
    Heartbeat,
    Latency,
    Model,
    Register,
    Registered,
    Role,
    Status,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS

TOPICS = ("A", "B")


def test_a_rate_is_that_of_the_last_heartbeats() -> None:
    published = PublishRates(0.0)
    assert published.rates() is None
    published.update({"A": 10}, TOPICS, 2.0)
    assert published.rates() == {"A": 5.0}
    published.update({"A": 50, "B": 1}, TOPICS, 4.0)
    assert published.rates() == {"A": 12.5, "B": 0.25}
    published.update({}, TOPICS, 6.0)
    published.update({}, TOPICS, 8.0)
    assert published.rates() == {"A": round(40 / 6, 3), "B": round(1 / 6, 3)}
    published.update({}, TOPICS, 10.0)
    assert published.rates() == {}


def test_one_that_published_before_it_was_known_has_no_rate_at_first() -> None:
    published = PublishRates(None)
    published.update({"A": 1_000_000}, TOPICS, 2.0)
    assert published.rates() is None
    published.update({"A": 1_000_010, "B": 4}, TOPICS, 4.0)
    assert published.rates() == {"A": 5.0, "B": 2.0}


def test_two_heartbeats_at_one_time_are_no_division_by_zero() -> None:
    published = PublishRates(1.0)
    published.update({"A": 5}, TOPICS, 1.0)
    published.update({"A": 9}, TOPICS, 2.0)
    assert published.rates() == {"A": 4.0}


def test_a_count_that_falls_gives_no_negative_rate() -> None:
    published = PublishRates(0.0)
    published.update({"A": 5}, TOPICS, 1.0)
    published.update({"A": 3}, TOPICS, 2.0)
    published.update({"A": 6}, TOPICS, 3.0)
    assert published.rates() == {"A": round(8 / 3, 3)}


counts = st.lists(
    st.dictionaries(st.sampled_from("ABC"), st.integers(0, 2**53)), max_size=9
)


@given(counts)
def test_whatever_is_told_rates_are_of_own_topics_and_positive(
    told: list[dict[str, int]],
) -> None:
    published = PublishRates(0.0)
    for number, each in enumerate(told):
        published.update(each, TOPICS, number * 0.5)
        rates = published.rates() or {}
        assert set(rates) <= set(TOPICS)
        assert all(0 <= rate < 2**60 for rate in rates.values())


# In the broker


class Clients:
    """A broker core, and clients with a heartbeat every two seconds."""

    def __init__(self, model: Model) -> None:
        sessions = itertools.count(1)
        self.model = model
        self.now = 0.0
        self.core = BrokerCore(
            model,
            MemoryRegistry(),
            epoch=1,
            lease_s=6.0,
            new_session=lambda: next(sessions),
        )

    def register(self, role: Role, *topics: str, session: int | None = None) -> int:
        """The session."""
        request = Register(
            id=1,
            versions=VERSIONS,
            role=role,
            topics=list(topics),
            address="10.0.0.2:5556" if role == "publisher" else "10.0.0.2",
            clock="realtime",
            session=session,
        )
        (reply,) = (
            effect.message
            for effect in self.core.register(b"peer", request, self.now)
            if isinstance(effect, Send) and isinstance(effect.message, Registered)
        )
        return reply.session

    def beat(self, session: int, after_s: float = 2.0, **facts: Any) -> ClientStatus:
        """Send a heartbeat; returns the client's entry in the status."""
        self.now += after_s
        request = Heartbeat(id=2, session=session, **facts)
        self.core.heartbeat(b"peer", request, self.now)
        (client,) = (each for each in self.status().clients if each.session == session)
        return client

    def status(self) -> Status:
        return self.core.status(StatusRequest(id=3), self.now)


@pytest.fixture(params=["centralized", "decentralized"])
def clients(request: pytest.FixtureRequest) -> Clients:
    return Clients(request.param)


def test_the_status_has_rates_of_both_models(clients: Clients) -> None:
    session = clients.register("publisher", *TOPICS)
    assert clients.beat(session, published={"A": 100}).rates == {"A": 50.0}
    other = clients.beat(session, published={"A": 120, "nobody's": 9}).rates
    assert other == {"A": 30.0}


def test_one_that_does_not_tell_has_no_rate(clients: Clients) -> None:
    session = clients.register("publisher", "A")
    assert clients.beat(session).rates is None
    subscriber = clients.register("subscriber", "A")
    told = clients.beat(subscriber, published={"A": 7})
    assert told.rates is None


def test_rates_go_on_when_a_publisher_registers_again(clients: Clients) -> None:
    session = clients.register("publisher", "A", "B")
    clients.beat(session, published={"A": 100, "B": 100})
    clients.register("publisher", "A", "C", session=session)
    # B was removed, C had events before: its first count gives no rate.
    told = clients.beat(session, published={"A": 200, "C": 5000}).rates
    assert told == {"A": 50.0, "B": 25.0}
    told = clients.beat(session, published={"C": 5060}).rates
    assert told == {"A": round(200 / 6, 3), "B": round(100 / 6, 3), "C": 10.0}


def test_after_a_restart_of_the_broker_the_first_counts_are_no_rate(
    clients: Clients,
) -> None:
    session = clients.register("publisher", "A", session=99)
    assert clients.beat(session, published={"A": 10**9}).rates is None
    assert clients.beat(session, published={"A": 10**9 + 8}).rates == {"A": 4.0}


def test_the_latency_is_that_of_the_last_heartbeat(clients: Clients) -> None:
    session = clients.register("subscriber", "A")
    told = Latency(count=3, p50_ns=-5, p99_ns=7, max_ns=8)
    assert clients.beat(session, latency=told).latency == told
    clients.register("subscriber", "A", session=session)
    assert clients.beat(session).latency is None


def test_ten_thousand_topics_are_told_and_forgotten() -> None:
    """From three publishers, since one may have 4096."""
    clients = Clients("decentralized")
    for part in range(3):
        topics = [f"sensors/{part}/{number}" for number in range(3334)]
        session = clients.register("publisher", *topics)
        for beat in (1, 2, 3, 4):
            told = dict.fromkeys(topics, 100 * beat)
            rates = clients.beat(session, published=told).rates
            assert rates == dict.fromkeys(topics, 50.0)
        clients.core.tick(clients.now + 10)
        assert clients.status().clients == []
