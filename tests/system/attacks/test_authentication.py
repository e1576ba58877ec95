"""A client without keys, or with wrong or old ones, is rejected at every port."""

from __future__ import annotations

import socket
import time

import pytest
import zmq
from support.attack_rows import attack
from support.attack_tools import (
    ADMITTED,
    DISCONNECTED,
    KEY_REJECTED,
    MISMATCH,
    NO_ANSWER,
    MakeScene,
    Scene,
    Vault,
    now,
    publish_and_receive,
    register,
    stranger,
)
from support.running_roles import WAIT_S

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Registered
from pubsub_common.security.keys import ClientKeys, KeyPair
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

A = b"A\0"


def ports(scene: Scene, publisher: Publisher) -> list[tuple[int, str]]:
    """Every port of the system, and the key that answers there."""
    found = [
        (scene.port, scene.vault.broker),
        (publisher.bind_port, scene.vault.keys("alice").pair.public),
        scene.data_port(publisher),
    ]
    return list(dict.fromkeys(found))


def expect_rejection(
    scene: Scene, publisher: Publisher, pair: KeyPair | None, outcome: int
) -> None:
    """At every port a client with these keys is rejected, and receives none of the
    events that another client receives meanwhile."""
    bob = scene.receive("bob", "A")
    wires = []
    for port, server in ports(scene, publisher):
        kind = zmq.DEALER if port == scene.port else zmq.SUB
        wire = scene.wire(kind, pair, None if pair is None else server)
        if kind == zmq.SUB:
            wire.socket.setsockopt(zmq.SUBSCRIBE, b"")
        wire.connect(port)
        wires.append(wire)
    for wire in wires:
        wire.wait_for(outcome)
    publish_and_receive(publisher, "A", bob, b"1", b"2")
    for wire in wires:
        assert wire.saw(ADMITTED) == 0
        assert wire.received() == []


@attack(
    what="no keys, at the control port, a publisher's port, the broker's data ports",
    got="nothing",
)
def test_a_client_without_keys_is_rejected_at_every_port(make_scene: MakeScene) -> None:
    scene = make_scene()
    expect_rejection(scene, scene.publisher("alice", "A"), None, MISMATCH)


@attack(
    what="keys that are not enrolled",
    got="nothing",
)
def test_keys_that_are_not_enrolled_are_rejected_at_every_port(
    make_scene: MakeScene,
) -> None:
    scene = make_scene()
    pair = stranger(scene.vault).pair
    expect_rejection(scene, scene.publisher("alice", "A"), pair, KEY_REJECTED)


@attack(
    what="the right keys for another broker",
    got="nothing",
)
def test_keys_of_another_broker_are_rejected_at_every_port(
    make_scene: MakeScene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scene = make_scene()
    elsewhere = Vault(tmp_path_factory.mktemp("elsewhere") / "other")
    alien = elsewhere.keys("bob")
    publisher = scene.publisher("alice", "A")

    # With the key of its own broker it cannot communicate with this one.
    wire = scene.wire(zmq.DEALER, alien.pair, alien.broker)
    wire.connect(scene.port)
    wire.wait_for(NO_ANSWER, times=2)
    assert wire.saw(ADMITTED) == 0
    # And with the right server keys its own key is unknown.
    expect_rejection(scene, publisher, alien.pair, KEY_REJECTED)


@attack(
    what="revoked keys",
    got="nothing",
)
def test_revoked_keys_are_rejected_at_every_port(make_scene: MakeScene) -> None:
    scene = make_scene()
    mallory = scene.vault.keys("mallory")
    scene.talker(mallory).wait_for(ADMITTED)
    scene.vault.revoke("mallory")
    publisher = scene.publisher("alice", "A")

    def out() -> bool:
        """A running broker takes a moment to learn it."""
        wire = scene.wire(zmq.DEALER, mallory.pair, mallory.broker)
        wire.connect(scene.port)
        wait_for(lambda: wire.saw(ADMITTED) or wire.saw(KEY_REJECTED), "an outcome")
        return bool(wire.saw(KEY_REJECTED))

    wait_for(out, "the revocation")
    # The broker notifies the publisher.
    wait_for(
        lambda: (
            not publisher._runtime._authenticator
            or not publisher._runtime._authenticator.grants.may_connect(
                mallory.pair.public
            )
        ),
        "the publisher's knowledge",
    )
    expect_rejection(scene, publisher, mallory.pair, KEY_REJECTED)


@attack(
    what="an expired enrollment",
    got="nothing",
)
def test_expired_keys_are_rejected_at_every_port(make_scene: MakeScene) -> None:
    scene = make_scene(before=lambda vault: vault.let_expire("mallory", -1))
    late = scene.vault.keys("mallory")
    expect_rejection(scene, scene.publisher("alice", "A"), late.pair, KEY_REJECTED)


@attack(
    what="staying connected when the enrollment expires",
    got="disconnected",
)
def test_an_enrolment_that_expires_ends_connections(make_scene: MakeScene) -> None:
    scene = make_scene()
    publisher = scene.publisher("alice", "A")
    brief = scene.vault.keys("mallory")
    at_the_control = scene.talker(brief)
    at_the_control.registered(register("subscriber", ["A"], "127.0.0.1"))
    at_the_data = scene.spy(brief.pair, *scene.data_port(publisher), A)
    at_the_data.wait_for(ADMITTED)

    scene.vault.let_expire("mallory", 2)

    at_the_control.wait_for(DISCONNECTED)
    at_the_data.wait_for(DISCONNECTED)
    bob = scene.receive("bob", "A")
    publish_and_receive(publisher, "A", bob, b"1")
    assert at_the_data.received() == []


def test_a_client_that_was_just_enrolled_is_admitted(make_scene: MakeScene) -> None:
    """No attack: the authenticator must not reject a client that has just been enrolled."""
    scene = make_scene()
    scene.vault.store.enroll("newcomer", now=now())
    talker = scene.talker(scene.vault.keys("newcomer"))
    talker.registered(register("subscriber", ["A"], "127.0.0.1"))
    assert talker.saw(KEY_REJECTED) == 0


@attack(
    what="another mechanism (PLAIN)",
    got="nothing",
)
def test_mechanisms_other_than_curve_are_rejected(make_scene: MakeScene) -> None:
    scene = make_scene()
    wire = scene.wire(zmq.DEALER, None, None)
    wire.socket.plain_username = b"bob"
    wire.socket.plain_password = b"secret"
    wire.connect(scene.port)
    wire.wait_for(MISMATCH)
    assert wire.saw(ADMITTED) == 0


def greeting(mechanism: bytes = b"CURVE") -> bytes:
    """ZMTP 3.1's, as a client."""
    signature = b"\xff" + bytes(8) + b"\x7f"
    return signature + b"\x03\x01" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


def hello(length: int) -> bytes:
    """A HELLO command of CURVE with random content."""
    body = b"\x05HELLO" + b"\x01\x00" + b"\xa5" * (length - 8)
    if len(body) < 256:
        return b"\x04" + bytes([len(body)]) + body
    return b"\x06" + len(body).to_bytes(8, "big") + body


def initiate() -> bytes:
    """The last message of a handshake, without the earlier ones: a replay out of order."""
    body = b"\x08INITIATE" + b"\x5a" * 300
    return b"\x06" + len(body).to_bytes(8, "big") + body


def ends(connection: socket.socket) -> bool:
    """Whether the other side closes the connection; its data is read and dropped."""
    connection.settimeout(WAIT_S)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


NOISE = {
    "http": b"GET / HTTP/1.0\r\n\r\n" * 10,
    "zeros": bytes(1000),
    "forged-hello": greeting() + hello(200),
    "short-hello": greeting() + hello(60),
    "initiate-first": greeting() + initiate(),
    "ready-as-without-keys": greeting(b"NULL") + b"\x04\x06\x05READY",
    "event-instead-of-handshake": greeting() + b"\x00\x0aA\0\1\x95garbage",
    "huge-command": greeting() + b"\x06" + (1 << 40).to_bytes(8, "big") + b"x" * 4096,
    "huge-message": greeting() + b"\x02" + (1 << 62).to_bytes(8, "big") + b"x" * 4096,
}


@attack(
    what="garbage, forged and reordered handshakes, frames of 2^40 bytes and more before a "
    "handshake",
    got="its connection ended",
)
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_garbage_before_a_handshake_ends_only_its_own_connection(
    make_scene: MakeScene, noise: bytes
) -> None:
    scene = make_scene()
    publisher = scene.publisher("alice", "A")
    bob = scene.receive("bob", "A")
    for port, _ in ports(scene, publisher):
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as raw:
            try:
                raw.sendall(noise)
            except ConnectionError:
                continue
            assert ends(raw), f"port {port} still listens"
    publish_and_receive(publisher, "A", bob, b"1")


@attack(
    what="unfinished handshakes",
    got="no other client is blocked",
)
def test_unfinished_handshakes_keep_no_other_client_out(make_scene: MakeScene) -> None:
    scene = make_scene()
    publisher = scene.publisher("alice", "A")
    begun = []
    try:
        for port, _ in ports(scene, publisher):
            for said in (
                b"",
                b"\xff",
                greeting()[:30],
                greeting(),
                greeting() + b"\x04",
            ):
                for _ in range(10):
                    raw = socket.create_connection(("127.0.0.1", port), WAIT_S)
                    begun.append(raw)
                    raw.sendall(said)
        bob = scene.receive("bob", "A")
        publish_and_receive(publisher, "A", bob, b"1")
    finally:
        for raw in begun:
            raw.close()


@attack(
    what="a recorded handshake and registration, replayed",
    got="its connection ended",
)
def test_a_replayed_handshake_has_no_effect(
    make_scene: MakeScene,
) -> None:
    """The bytes of a client's registration are sent again."""
    scene = make_scene()
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talker = scene.wire(zmq.DEALER, *_pair_and_server(scene.vault.keys("bob")))
        talker.connect(listener.getsockname()[1])
        talker.socket.send(
            messages.encode(register("subscriber", ["A"], "127.0.0.1")), zmq.NOBLOCK
        )
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", scene.port)) as server:
            _relay_until(client, server, said, talker)
            reply = messages.decode_reply(talker.next())
            assert isinstance(reply, Registered)

    recording = b"".join(said)
    assert len(recording) > 400
    with socket.create_connection(("127.0.0.1", scene.port), WAIT_S) as raw:
        raw.sendall(recording)
        assert ends(raw)
    alive = scene.talker(scene.vault.keys("bob"))
    report = alive.ask(messages.StatusRequest(id=1))
    assert isinstance(report, messages.Status)
    assert [client.session for client in report.clients] == [reply.session]


def _pair_and_server(keys: ClientKeys) -> tuple[KeyPair, str]:
    return keys.pair, keys.broker


def _relay_until(
    client: socket.socket, server: socket.socket, said: list[bytes], talker: object
) -> None:
    """Pass bytes on in both directions until ``talker`` has an answer."""
    deadline = time.monotonic() + WAIT_S
    for side in (client, server):
        side.setblocking(False)
    while not talker.socket.poll(5):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "no answer through the relay"
        for source, target in ((client, server), (server, client)):
            try:
                data = source.recv(65536)
            except BlockingIOError:
                continue
            target.sendall(data)
            if source is client:
                said.append(data)
