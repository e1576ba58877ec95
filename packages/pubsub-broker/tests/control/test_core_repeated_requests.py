"""A client that repeats its request on one connection, because a reply was late, is one
client."""

from __future__ import annotations

import itertools

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import (
    Heartbeat,
    Register,
    Registered,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS


def new_core() -> BrokerCore:
    sessions = itertools.count(1)
    return BrokerCore(
        "decentralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=6.0,
        new_session=lambda: next(sessions),
    )


def register(core: BrokerCore, peer: bytes, address: str = "10.0.0.9") -> int:
    request = Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=["A"],
        address=address,
        clock="realtime",
    )
    effects = core.register(peer, request, 0.0)
    (reply,) = (e.message for e in effects if isinstance(e, Send))
    assert isinstance(reply, Registered)
    return reply.session


def clients(core: BrokerCore) -> int:
    return len(core.status(StatusRequest(id=1), 0.0).clients)


def test_the_second_registration_gets_the_session_of_the_first() -> None:
    core = new_core()
    assert register(core, b"peer") == register(core, b"peer")
    assert clients(core) == 1


def test_another_connection_or_another_address_is_another_client() -> None:
    core = new_core()
    sessions = {
        register(core, b"peer"),
        register(core, b"other"),
        register(core, b"peer", address="10.0.0.8"),
    }
    assert len(sessions) == clients(core) == 3


def test_a_client_that_has_moved_to_another_connection_leaves_none_behind() -> None:
    core = new_core()
    first = register(core, b"before")
    core.heartbeat(b"after", Heartbeat(id=2, session=first), 0.0)
    assert register(core, b"before") != first
    assert register(core, b"after") == first


def test_nothing_is_remembered_of_clients_that_have_gone() -> None:
    core = new_core()
    for number in range(100):
        register(core, b"%d" % number)
    core.tick(100.0)
    assert clients(core) == 0
    assert not core._notifications._session_by_peer
