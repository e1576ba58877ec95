"""The publishers' clocks that the broker reports to subscribers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import (
    Alive,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
    Heartbeat,
    Hello,
    HelloReply,
    Register,
    Registered,
    Reply,
    Role,
)
from pubsub_common.protocol.versions import VERSIONS


class Crowd:
    """Clients of a broker core, each identified by its session."""

    def __init__(self) -> None:
        sessions = itertools.count(1)
        times = itertools.count(1_000, 10)
        self.core = BrokerCore(
            "decentralized",
            MemoryRegistry(),
            epoch=1,
            lease_s=6.0,
            new_session=lambda: next(sessions),
            clock_ns=lambda: next(times),
        )

    def join(self, role: Role, address: str, topics: list[str]) -> int:
        request = Register(
            id=1,
            versions=VERSIONS,
            role=role,
            topics=topics,
            address=address,
            clock="realtime",
        )
        reply = self.reply(self.core.register(b"peer", request, 0.0))
        assert isinstance(reply, Registered)
        return reply.session

    def beat(self, session: int, clock: ClockOffset | None = None) -> Alive:
        request = Heartbeat(id=2, session=session, clock=clock)
        reply = self.reply(self.core.heartbeat(b"peer", request, 0.0))
        assert isinstance(reply, Alive)
        return reply

    @staticmethod
    def reply(effects: Sequence[object]) -> Reply:
        (reply,) = (e.message for e in effects if isinstance(e, Send))
        return reply


def test_the_range_spans_the_clocks_of_all_publishers_of_its_topics() -> None:
    crowd = Crowd()
    subscriber = crowd.join("subscriber", "10.0.0.9", ["A", "B"])
    first = crowd.join("publisher", "10.0.0.2:1", ["A"])
    second = crowd.join("publisher", "10.0.0.3:1", ["B"])
    other = crowd.join("publisher", "10.0.0.4:1", ["C"])
    crowd.beat(other, ClockOffset(offset_ns=10**9, bound_ns=5))
    crowd.beat(first, ClockOffset(offset_ns=-100, bound_ns=20))
    assert crowd.beat(subscriber).publishers_clock is None, "one is not known yet"
    crowd.beat(second, ClockOffset(offset_ns=300, bound_ns=10))
    expected = ClockRange(low_ns=-120, high_ns=310)
    assert crowd.beat(subscriber).publishers_clock == expected


def test_without_publishers_there_is_no_range() -> None:
    crowd = Crowd()
    subscriber = crowd.join("subscriber", "10.0.0.9", ["A"])
    assert crowd.beat(subscriber).publishers_clock is None


def test_publishers_are_told_nothing_of_other_clocks() -> None:
    crowd = Crowd()
    publisher = crowd.join("publisher", "10.0.0.2:1", ["A"])
    crowd.beat(publisher, ClockOffset(offset_ns=0, bound_ns=0))
    assert crowd.beat(publisher).publishers_clock is None


def test_any_client_may_ask_for_the_time() -> None:
    crowd = Crowd()
    request = ClockRequest(id=7, sent_ns=-5)
    reply = crowd.reply(crowd.core.handle(b"stranger", request, 0.0))
    assert reply == ClockReply(id=7, sent_ns=-5, received_ns=1000, replied_ns=1010)


def test_any_client_may_ask_a_broker_about_itself() -> None:
    crowd = Crowd()
    crowd.join("publisher", "10.0.0.2:1", ["A"])

    reply = crowd.reply(crowd.core.handle(b"stranger", Hello(id=7), 0.0))

    assert reply == HelloReply(
        id=7, epoch=crowd.core.epoch, model=crowd.core.model, clients=1
    )
