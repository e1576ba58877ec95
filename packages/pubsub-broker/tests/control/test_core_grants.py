"""A secure broker's decisions: the permissions of clients, and the removal of clients
that exceed them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from support.broker_parts import role_of

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Attach, Departed, Detach, Effect, Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.security import policy
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.grants import Grants
from pubsub_broker.security.session_signature import SessionSignature
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Error,
    Heartbeat,
    Model,
    PublishersChanged,
    Register,
    Registered,
    Role,
    Status,
    StatusRequest,
    Vouched,
    VouchedChanged,
)
from pubsub_common.protocol.versions import VERSIONS

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
KEYS = {name: f"{number:040d}" for number, name in enumerate(["alice", "bob", "carol"])}
CLIENTS = [EnrolledKey(name, key, NOW) for name, key in KEYS.items()]
RIGHTS: Mapping[str, Any] = {
    "clients": {
        "alice": {"publish": ["a/#"]},
        "bob": {"subscribe": ["a/+"], "status": True},
        "carol": {"publish": ["#"], "subscribe": ["#"]},
    }
}


class Secure:
    """A core with enrolled clients."""

    def __init__(
        self,
        model: Model,
        rights: Mapping[str, Any] | None = RIGHTS,
        secret: bytes = b"secret",
    ) -> None:
        self.grants = Grants()
        self.rights = None if rights is None else policy.parse(rights, "")
        self.grants.update(CLIENTS, self.rights, NOW)
        sessions = iter(range(2**40, 2**50, 2**40))
        self.core = BrokerCore(
            model,
            MemoryRegistry(),
            epoch=1,
            lease_s=10.0,
            new_session=lambda: next(sessions),
            ports=lambda topics: dict.fromkeys(topics, 1000),
            grants=self.grants,
            signature=SessionSignature(secret),
        )

    def register(
        self, name: str, role: Role, *topics: str, **more: Any
    ) -> tuple[Any, list[Effect]]:
        peer = name.encode()
        more.setdefault(
            "address", "10.0.0.1:5556" if role == "publisher" else "10.0.0.2"
        )
        request = Register(
            id=1,
            versions=VERSIONS,
            role=role,
            topics=list(topics),
            clock="realtime",
            **more,
        )
        effects = self.core.register(peer, request, 0.0, KEYS.get(name))
        [reply] = [e.message for e in effects if isinstance(e, Send) and e.peer == peer]
        return reply, effects

    def change(self, clients: Iterable[EnrolledKey], rights: Any = ...) -> list[Effect]:
        if rights is not ...:
            self.rights = None if rights is None else policy.parse(rights, "")
        changed = self.grants.update(clients, self.rights, NOW)
        assert changed is not None
        return [*self.core.recheck_permissions(changed, 1.0), *self.core.flush()]


def sent(effects: Iterable[Effect], name: str) -> list[Any]:
    return [
        e.message for e in effects if isinstance(e, Send) and e.peer == name.encode()
    ]


models = pytest.mark.parametrize("model", ["centralized", "decentralized"])


@models
def test_an_authorized_client_is_registered(model: Model) -> None:
    secure = Secure(model)

    assert isinstance(secure.register("alice", "publisher", "a/b", "a")[0], Registered)
    assert isinstance(secure.register("bob", "subscriber", "a/+")[0], Registered)
    assert isinstance(secure.register("bob", "subscriber", "a/b")[0], Registered)


@models
@pytest.mark.parametrize(
    ("name", "role", "topic"),
    [
        ("alice", "publisher", "b"),
        ("alice", "subscriber", "a/b"),
        ("bob", "publisher", "a/b"),
        ("bob", "subscriber", "a"),
        ("bob", "subscriber", "a/#"),
        ("bob", "subscriber", "#"),
        ("mallory", "subscriber", "a/b"),
    ],
)
def test_an_unauthorized_client_is_refused(
    model: Model, name: str, role: Role, topic: str
) -> None:
    reply, effects = Secure(model).register(name, role, topic)

    assert isinstance(reply, Error)
    assert reply.code == messages.NOT_ALLOWED
    assert not [effect for effect in effects if isinstance(effect, Attach)]


def test_subscribers_learn_keys_where_they_connect_to_publishers() -> None:
    secure = Secure("decentralized")
    secure.register("alice", "publisher", "a/b")
    reply, _ = secure.register("bob", "subscriber", "a/b")

    assert reply.publishers[0].key == KEYS["alice"]


def test_the_forwarder_learns_keys_where_it_connects() -> None:
    secure = Secure("centralized")
    other, _ = secure.register("bob", "subscriber", "a/b")
    reply, effects = secure.register("alice", "publisher", "a/b")

    attach = Attach("10.0.0.1:5556", ("a/b",), KEYS["alice"], reply.session)
    # First, as a client may publish immediately when it gets `registered`.
    assert effects[0] == attach
    assert reply.vouched == []
    reply, _ = secure.register("bob", "subscriber", "a/b", session=other.session)
    assert reply.publishers[0].key is None


def test_publishers_are_told_which_keys_to_accept() -> None:
    secure = Secure("decentralized")

    reply, _ = secure.register("alice", "publisher", "a/b")

    assert reply.vouched == [
        Vouched(key=KEYS["bob"], topics=["a/+"]),
        Vouched(key=KEYS["carol"], topics=["#"]),
    ]


def test_publishers_learn_of_changes() -> None:
    secure = Secure("decentralized")
    secure.register("alice", "publisher", "a/b")

    [push] = sent(secure.change(CLIENTS[:2]), "alice")
    assert push == VouchedChanged(
        revision=1, vouched=[Vouched(key=KEYS["bob"], topics=["a/+"])]
    )
    [push] = sent(secure.change(CLIENTS[:2], None), "alice")
    assert push == VouchedChanged(
        revision=2, vouched=[Vouched(key=KEYS["alice"]), Vouched(key=KEYS["bob"])]
    )


@models
def test_a_revoked_client_is_told_and_expelled(model: Model) -> None:
    secure = Secure(model)
    publisher, _ = secure.register("alice", "publisher", "a/b")
    secure.register("bob", "subscriber", "a/b")

    effects = secure.change(CLIENTS[1:])

    assert [each.code for each in sent(effects, "alice")] == [messages.REVOKED]
    [push] = sent(effects, "bob")
    assert isinstance(push, PublishersChanged)
    assert [(each.session, each.revoked) for each in push.left] == [
        (publisher.session, True)
    ]
    assert role_of(secure.core, publisher.session) is None
    detached = [effect for effect in effects if isinstance(effect, Detach)]
    assert detached == (
        [Detach("10.0.0.1:5556", at_once=True)] if model == "centralized" else []
    )
    assert any(isinstance(effect, Departed) for effect in effects)


@models
def test_a_client_that_exceeds_its_new_grant_is_expelled(model: Model) -> None:
    secure = Secure(model)
    publisher, _ = secure.register("alice", "publisher", "a/b")
    other, _ = secure.register("carol", "publisher", "c", address="10.0.0.3:5556")
    less = {"clients": {"alice": {"publish": ["x"]}, "carol": {"publish": ["c"]}}}

    effects = secure.change(CLIENTS, less)

    [error] = [each for each in sent(effects, "alice") if isinstance(each, Error)]
    assert (error.id, error.code) == (-1, messages.NOT_ALLOWED)
    assert role_of(secure.core, publisher.session) is None
    assert role_of(secure.core, other.session) == "publisher"


@models
def test_a_session_belongs_to_its_key(model: Model) -> None:
    secure = Secure(model, None)
    reply, _ = secure.register("alice", "publisher", "a/b")
    session = reply.session

    stolen, _ = secure.register("bob", "publisher", "a/b", session=session)
    assert isinstance(stolen, Error)
    heartbeat = Heartbeat(id=2, session=session)
    [alive] = sent(secure.core.heartbeat(b"bob", heartbeat, 1.0, KEYS["bob"]), "bob")
    assert alive == Alive(id=2, epoch=1, known=False)
    disconnect = Disconnect(id=3, session=session)
    effects = secure.core.disconnect(b"bob", disconnect, 1.0, KEYS["bob"])
    assert not any(isinstance(effect, Departed) for effect in effects)
    assert role_of(secure.core, session) == "publisher"

    [alive] = sent(
        secure.core.heartbeat(b"alice", heartbeat, 1.0, KEYS["alice"]), "alice"
    )
    assert alive.known


@models
def test_nobody_displaces_anothers_publisher(model: Model) -> None:
    secure = Secure(model, None)
    first, _ = secure.register("alice", "publisher", "a/b")

    reply, _ = secure.register("bob", "publisher", "a/b")
    assert isinstance(reply, Error)
    assert role_of(secure.core, first.session) == "publisher"

    again, _ = secure.register("alice", "publisher", "a/b")
    assert isinstance(again, Registered)


@models
def test_strengths_need_a_grant_and_are_limited_by_it(model: Model) -> None:
    rights = {"clients": {"alice": {"publish": ["a"], "strength": 5}}}
    secure = Secure(model, rights)
    refused, _ = secure.register("alice", "publisher", "a", strengths={"a": 6})
    assert (refused.code, refused.detail) == (
        messages.NOT_ALLOWED,
        "the policy does not let alice have strength 6 on 'a'; at most 5",
    )
    accepted, _ = secure.register("alice", "publisher", "a", strengths={"a": 5})
    assert isinstance(accepted, Registered)

    # A client with more strength than a new policy allows is expelled.
    effects = secure.change(CLIENTS, {"clients": {"alice": {"publish": ["a"]}}})
    [told] = sent(effects, "alice")
    assert (told.id, told.code) == (-1, messages.NOT_ALLOWED)


@models
def test_after_a_restart_a_session_is_still_its_clients_alone(model: Model) -> None:
    """Even if another client comes first: subscribers know the sessions of publishers."""
    told = Secure(model).register("alice", "publisher", "a/b")[0].session
    restarted = Secure(model)

    stolen, effects = restarted.register(
        "carol", "publisher", "a/b", session=told, address="10.0.0.9:5556"
    )
    assert (stolen.code, stolen.detail) == (
        messages.NOT_ALLOWED,
        "this session was given to another client",
    )
    assert not [each for each in effects if isinstance(each, Attach | Departed)]

    again = restarted.register("alice", "publisher", "a/b", session=told)[0]
    assert again.session == told


@models
def test_a_session_of_a_broker_with_other_keys_is_refused(model: Model) -> None:
    told = Secure(model).register("alice", "publisher", "a/b")[0].session

    other = Secure(model, secret=b"another")

    refused = other.register("alice", "publisher", "a/b", session=told)[0]
    assert refused.code == messages.NOT_ALLOWED


@models
def test_clients_of_one_key_have_different_sessions(model: Model) -> None:
    secure = Secure(model)
    # Numbers that differ only in the lower bits make one session for a key.
    numbers = iter([1, 2, 3, 2**40, 2**41])
    secure.core._registration._new_session = lambda: next(numbers)

    found = [
        secure.register("carol", "publisher", "a", address=f"10.0.0.1:{port}")[0]
        for port in (1, 2)
    ]
    assert len({each.session for each in found}) == 2


def test_the_status_needs_a_grant() -> None:
    core = Secure("centralized").core

    def ask(name: str) -> Any:
        return sent(core.handle(b"x", StatusRequest(id=1), 0.0, KEYS[name]), "x")

    assert isinstance(ask("bob")[0], Status)
    assert ask("alice")[0].code == messages.NOT_ALLOWED


def test_without_security_no_client_is_expelled() -> None:
    core = BrokerCore(
        "centralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=10.0,
        new_session=lambda: 1,
    )

    assert core.recheck_permissions({"x"}, 0.0) == []
