"""The session of a connected client is not given to another one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Departed, Effect, Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Error,
    Heartbeat,
    Register,
    Registered,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS

LEASE_S = 6.0
PUBLISHER = {"role": "publisher", "address": "10.0.0.1:5556"}
ELSEWHERE = {"role": "publisher", "address": "10.0.0.1:7777"}
SUBSCRIBER = {"role": "subscriber", "address": "10.0.0.1"}


class Bench:
    """A core with one publisher, on connection ``p``."""

    def __init__(self) -> None:
        self.lost: set[bytes] = set()
        sessions = itertools.count(1)
        self.core = BrokerCore(
            "decentralized",
            MemoryRegistry(),
            epoch=1,
            lease_s=LEASE_S,
            new_session=lambda: next(sessions),
            is_lost=self.lost.__contains__,
        )
        self.session = self.accepted(self.register(b"p", None, PUBLISHER))

    def register(
        self, peer: bytes, session: int | None, who: dict[str, Any], now: float = 0.0
    ) -> list[Effect]:
        request = Register(
            id=7,
            versions=VERSIONS,
            topics=["A"],
            clock="realtime",
            session=session,
            **who,
        )
        return self.core.register(peer, request, now)

    def accepted(self, effects: list[Effect]) -> int:
        reply = reply_in(effects)
        assert isinstance(reply, Registered), reply
        return reply.session

    def who_is_there(self) -> list[tuple[str, str]]:
        clients = self.core.status(StatusRequest(id=1), 0.0).clients
        return [(client.role, client.address) for client in clients]


def reply_in(effects: list[Effect]) -> messages.Reply:
    (reply,) = (each.message for each in effects if isinstance(each, Send))
    return reply


@pytest.mark.parametrize("other", [SUBSCRIBER, ELSEWHERE])
def test_another_client_is_refused_and_told_who_has_the_session(
    other: dict[str, Any],
) -> None:
    bench = Bench()

    reply = reply_in(bench.register(b"q", bench.session, other))

    assert isinstance(reply, Error)
    assert (reply.id, reply.code) == (7, messages.SESSION_IN_USE)
    assert "a publisher at 10.0.0.1:5556" in reply.detail
    assert f"a {other['role']} at {other['address']} " in reply.detail
    assert bench.who_is_there() == [("publisher", "10.0.0.1:5556")]


def test_the_client_that_is_there_notices_nothing() -> None:
    bench = Bench()
    bench.register(b"q", bench.session, SUBSCRIBER)

    alive = reply_in(
        bench.core.heartbeat(b"p", Heartbeat(id=2, session=bench.session), 1.0)
    )

    assert alive == messages.Alive(id=2, epoch=1, known=True, demand=messages.Demand())


def test_the_same_client_comes_back_by_another_connection() -> None:
    bench = Bench()

    assert bench.accepted(bench.register(b"q", bench.session, PUBLISHER))
    assert bench.accepted(bench.register(b"q", bench.session, ELSEWHERE))


@pytest.mark.parametrize("changed", [SUBSCRIBER, ELSEWHERE])
def test_a_client_may_change_itself_by_its_own_connection(
    changed: dict[str, Any],
) -> None:
    bench = Bench()

    effects = bench.register(b"p", bench.session, changed)

    assert bench.accepted(effects) == bench.session
    assert [each.reason for each in effects if isinstance(each, Departed)] == [
        "registered again with changes"
    ]
    assert bench.who_is_there() == [(changed["role"], changed["address"])]


def test_a_client_is_known_by_the_connection_on_which_it_last_spoke() -> None:
    bench = Bench()
    bench.core.heartbeat(b"q", Heartbeat(id=2, session=bench.session), 1.0)

    refused = bench.register(b"p", bench.session, ELSEWHERE)

    assert isinstance(reply_in(refused), Error)
    assert bench.accepted(bench.register(b"q", bench.session, ELSEWHERE))


def test_a_session_whose_connection_is_lost_is_free() -> None:
    bench = Bench()
    bench.lost.add(b"p")

    assert bench.accepted(bench.register(b"q", bench.session, ELSEWHERE))


def test_a_session_is_free_when_its_lease_has_ended_or_it_was_left() -> None:
    bench = Bench()
    bench.core.tick(LEASE_S + 1)

    assert bench.accepted(bench.register(b"q", bench.session, ELSEWHERE, LEASE_S + 1))
    bench.core.disconnect(
        b"q", messages.Disconnect(id=1, session=bench.session), LEASE_S + 1
    )
    assert bench.accepted(bench.register(b"r", bench.session, SUBSCRIBER, LEASE_S + 1))
