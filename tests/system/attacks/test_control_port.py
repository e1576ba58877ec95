"""Enrolled clients that request more than their permissions."""

from __future__ import annotations

import json

import msgspec
import pytest
import zmq
from support.attack_rows import attack
from support.attack_tools import (
    ADMITTED,
    DISCONNECTED,
    KEY_REJECTED,
    MakeScene,
    disconnect,
    heartbeat,
    publish_and_receive,
    register,
)
from support.ports import free_port
from support.running_roles import WAIT_S

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    Disconnected,
    Error,
    Role,
    Status,
    StatusRequest,
)
from pubsub_common.testing import wait_for

POLICY = """
[clients.alice]
publish = ["#"]

[clients.bob]
subscribe = ["#"]
status = true

[clients.carol]
publish = ["carols/#"]
subscribe = ["carols/#"]

[clients.mallory]
publish = ["open/+"]
subscribe = ["open/+"]
"""
HOST = "127.0.0.1"


@attack(
    what="registering for denied topics, or for wider wildcards than granted",
    got="`not_allowed`",
)
@pytest.mark.parametrize(
    "topics",
    [
        ["secret"],
        ["open/a", "secret"],
        ["open"],
        ["open/a/b"],
        ["#"],
        ["+"],
        ["+/+"],
        ["open/#"],
        ["open/+/+"],
        ["$SYS/#"],
        ["openx/a"],
        ["OPEN/a"],
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_registering_for_more_than_the_policy_grants_is_refused(
    make_scene: MakeScene, role: messages.Role, topics: list[str]
) -> None:
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    address = HOST if role == "subscriber" else f"{HOST}:{free_port()}"
    code = mallory.refused(register(role, topics, address))
    # As a name, a publisher cannot even have a wildcard.
    wild = any(level in ("+", "#") for topic in topics for level in topic.split("/"))
    assert code == ("bad_topic" if wild and role == "publisher" else "not_allowed")
    # It gets its allowed topics on the same connection.
    mallory.registered(register(role, ["open/a"], address, id=2))


@attack(
    what="any request of a client that the policy does not mention",
    got="`not_allowed`",
)
def test_a_client_that_the_policy_does_not_mention_may_do_nothing(
    make_scene: MakeScene,
) -> None:
    scene = make_scene('[clients.alice]\npublish = ["#"]\n')
    bob = scene.talker(scene.vault.keys("bob"))
    assert bob.refused(register("subscriber", ["A"], HOST)) == "not_allowed"
    assert bob.refused(register("publisher", ["A"], f"{HOST}:7")) == "not_allowed"
    assert bob.refused(StatusRequest(id=3)) == "not_allowed"


@attack(
    what="asking for the status without the right",
    got="`not_allowed`",
)
def test_the_status_needs_the_right_to_ask_for_it(make_scene: MakeScene) -> None:
    scene = make_scene(POLICY)
    scene.publisher("alice", "open/a")
    mallory = scene.talker(scene.vault.keys("mallory"))
    reply = mallory.ask(StatusRequest(id=1))
    assert isinstance(reply, Error)
    assert reply.code == "not_allowed"
    assert "alice" not in reply.detail
    bob = scene.talker(scene.vault.keys("bob"))
    report = bob.ask(StatusRequest(id=1))
    assert isinstance(report, Status)
    assert [client.topics for client in report.clients] == [["open/a"]]


@attack(
    what="heartbeat, disconnect and registration for another client's session",
    got="`known` false, no effect, `not_allowed`",
)
def test_the_session_of_another_client_cannot_be_spoken_for(
    make_scene: MakeScene,
) -> None:
    """Sessions are not secret: they are in every event."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open/a")
    bob = scene.receive("bob", "open/a")
    publish_and_receive(alice, "open/a", bob, b"1")
    mallory = scene.talker(scene.vault.keys("mallory"))

    for session in (alice.session, bob.subscriber.session):
        reply = mallory.ask(heartbeat(session))
        assert isinstance(reply, Alive)
        assert not reply.known
        assert isinstance(mallory.ask(disconnect(session)), Disconnected)
        roles: tuple[tuple[Role, str], ...] = (
            ("publisher", f"{HOST}:{free_port()}"),
            ("subscriber", HOST),
        )
        for role, address in roles:
            request = register(role, ["open/a"], address, id=4, session=session)
            assert mallory.refused(request) == "not_allowed"

    publish_and_receive(alice, "open/a", bob, b"2")
    report = scene.talker(scene.vault.keys("bob")).ask(StatusRequest(id=1))
    assert isinstance(report, Status)
    assert {client.session for client in report.clients} == {
        alice.session,
        bob.subscriber.session,
    }


@attack(
    what="another client's session, at a broker that was restarted, before that client",
    got="`not_allowed`",
)
def test_the_session_of_another_client_cannot_be_taken_after_a_restart(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    request = register("publisher", ["open/a"], f"{HOST}:{free_port()}")
    session = scene.talker(scene.vault.keys("alice")).registered(request).session
    scene.restart_broker()

    mallory = scene.talker(scene.vault.keys("mallory"))
    stolen = register(
        "publisher", ["open/a"], f"{HOST}:{free_port()}", id=4, session=session
    )
    assert mallory.refused(stolen) == "not_allowed"

    again = msgspec.structs.replace(request, session=session)
    alice = scene.talker(scene.vault.keys("alice"))
    assert alice.registered(again).session == session


@attack(
    what="registering at the address of another client's publisher",
    got="`not_allowed`",
)
def test_nobody_registers_at_the_address_of_another_clients_publisher(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open/a")
    bob = scene.receive("bob", "open/a")
    mallory = scene.talker(scene.vault.keys("mallory"))
    request = register("publisher", ["open/a"], alice.address)
    assert mallory.refused(request) == "not_allowed"
    publish_and_receive(alice, "open/a", bob, b"1", b"2")


@attack(
    what="using the ZeroMQ identity of another connection",
    got="nothing",
)
def test_an_identity_of_another_connection_brings_none_of_its_messages(
    make_scene: MakeScene,
) -> None:
    """ROUTER sockets send by an identity that the peer may choose."""
    scene = make_scene(POLICY)
    keys = scene.vault.keys("bob")
    bob = scene.wire(zmq.DEALER, keys.pair, keys.broker)
    bob.socket.routing_id = b"bob's"
    bob.connect(scene.port)
    bob.socket.send(messages.encode(register("subscriber", ["open/#"], HOST)))
    bob.next()

    theirs = scene.vault.keys("mallory")
    mallory = scene.wire(zmq.DEALER, theirs.pair, theirs.broker)
    mallory.socket.routing_id = b"bob's"
    mallory.connect(scene.port)
    mallory.wait_for(ADMITTED)
    mallory.socket.send(messages.encode(register("subscriber", ["open/a"], HOST)))

    alice = scene.publisher("alice", "open/a")
    push = messages.decode_reply(bob.next())
    assert isinstance(push, messages.PublishersChanged)
    assert [info.session for info in push.joined] == [alice.session]
    assert mallory.received() == []


MALFORMED = {
    "empty": b"",
    "no-json": b"\xff\xfe garbage \x00",
    "half": messages.encode(heartbeat(1))[:-1],
    "deep": b"[" * 100_000,
    "list": b"[1, 2, 3]",
    "no-type": b'{"id": 1}',
    "unknown-type": b'{"type": "shutdown", "id": 1}',
    "reply": messages.encode(Disconnected(id=1)),
    "huge-number": b'{"type": "heartbeat", "id": 1, "session": 1e400}',
    "negative-session": b'{"type": "heartbeat", "id": 1, "session": -1}',
    "wrong-role": messages.encode(register("publisher", ["open/a"], "x")).replace(
        b"publisher", b"broker"
    ),
    "text-for-topics": b'{"type":"register","id":1,"versions":[1,1],"role":"publisher",'
    b'"topics":"open/a","address":"127.0.0.1:7","clock":"realtime"}',
    "surrogates": b'{"type":"register","id":1,"versions":[1,1],"role":"publisher",'
    b'"topics":["\\ud800"],"address":"127.0.0.1:7","clock":"realtime"}',
}


@attack(
    what="malformed messages of an enrolled client",
    got="errors",
)
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_messages_of_an_enrolled_client_are_answered_and_no_more(
    make_scene: MakeScene, data: bytes
) -> None:
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    for _ in range(20):
        mallory.socket.send(data)
        reply = messages.decode_reply(mallory.next())
        assert isinstance(reply, Error), reply
    for frames in ([b"", data], [data, data], [b"", b""]):
        mallory.socket.send_multipart(frames)
        assert isinstance(messages.decode_reply(mallory.next()), Error)
    mallory.registered(register("subscriber", ["open/a"], HOST, id=2))


@attack(
    what="fields of another client in a message: `key`, `user`, `origin`",
    got="ignored: the sender's key decides",
)
def test_fields_that_the_broker_does_not_know_change_nothing(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    bob = scene.vault.keys("bob").pair.public
    claims = {"key": bob, "user": bob, "key_name": "bob", "origin": "10.0.0.1"}
    for request in (register("subscriber", ["secret"], HOST), StatusRequest(id=1)):
        fields = json.loads(messages.encode(request))
        reply = mallory.ask_raw(json.dumps({**fields, **claims}).encode(), 1)
        assert isinstance(reply, Error)
        assert reply.code == "not_allowed"


@attack(
    what="staying at the control port after a revocation",
    got="notified, then disconnected",
)
def test_a_revoked_client_is_notified_and_disconnected(make_scene: MakeScene) -> None:
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    mallory.registered(register("subscriber", ["open/a"], HOST))
    scene.vault.revoke("mallory")

    told = messages.decode_reply(mallory.next())
    assert isinstance(told, Error)
    assert (told.id, told.code) == (-1, "revoked")
    mallory.wait_for(DISCONNECTED)
    mallory.wait_for(KEY_REJECTED)
    report = scene.talker(scene.vault.keys("bob")).ask(StatusRequest(id=1))
    assert isinstance(report, Status)
    assert report.clients == []


@attack(
    what="a silent connection, used after the revocation",
    got="`not_allowed`",
)
def test_between_the_revocation_and_the_end_nothing_is_done_for_it(
    make_scene: MakeScene,
) -> None:
    """The broker does not know the keys of a connection that was silent when they were
    revoked; its later messages are rejected."""
    scene = make_scene(POLICY)
    quiet = scene.talker(scene.vault.keys("mallory"))
    quiet.wait_for(ADMITTED)
    witness = scene.talker(scene.vault.keys("mallory"))
    witness.registered(register("subscriber", ["open/a"], HOST))
    scene.vault.revoke("mallory")
    witness.wait_for(DISCONNECTED)

    assert quiet.refused(register("subscriber", ["open/a"], HOST)) == "not_allowed"
    assert quiet.refused(StatusRequest(id=3)) == "not_allowed"


@attack(
    what="keeping a permission that a new policy takes away",
    got="removed",
)
def test_a_stricter_policy_removes_clients_that_exceed_it(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.subscriber("bob", "open/#")
    scene.vault.write_policy(
        POLICY.replace('subscribe = ["#"]', 'subscribe = ["open/b"]')
    )
    wait_for(
        lambda: bob._runtime.control is not None and bob._runtime.control.error,
        "the refusal",
    )
    assert bob._runtime.control is not None
    assert "does not let bob subscribe to 'open/#'" in str(bob._runtime.control.error)


@attack(
    what="a broken policy, to get access for all clients",
    got="nothing changes",
)
def test_a_policy_that_makes_no_sense_changes_nothing(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    """The previous policy stays in force."""
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    for broken in ('[clients.mallory]\nsubscribe = "#"\n', "[clients", "mallory = 1\n"):
        caplog.clear()
        scene.vault.write_policy(broken)
        wait_for(lambda: "keeping the previous policy" in caplog.text, "the complaint")
        code = mallory.refused(register("subscriber", ["secret"], HOST))
        assert code == "not_allowed"
    mallory.registered(register("subscriber", ["open/a"], HOST, id=2))


@attack(
    what="a control message of 64 MiB",
    got="disconnected",
)
def test_a_message_that_is_too_long_costs_the_connection(make_scene: MakeScene) -> None:
    scene = make_scene(POLICY)
    mallory = scene.talker(scene.vault.keys("mallory"))
    mallory.wait_for(ADMITTED)
    mallory.socket.send(b" " * (64 << 20))
    mallory.wait_for(DISCONNECTED)
    bob = scene.receive("bob", "open/a", connect_timeout_s=WAIT_S)
    publish_and_receive(scene.publisher("alice", "open/a"), "open/a", bob, b"1")
