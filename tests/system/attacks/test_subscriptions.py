"""Enrolled clients that subscribe to forbidden topics at a data port."""

from __future__ import annotations

import pytest
import zmq
from support.attack_rows import attack
from support.attack_tools import (
    ADMITTED,
    DISCONNECTED,
    KEY_REJECTED,
    MakeScene,
    Scene,
    publish_and_receive,
    publish_until_seen,
    register,
)

from pubsub_common.protocol.events import ready_topic
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    position_prefix,
    recovery_topic,
)
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

POLICY = """
[clients.alice]
publish = ["#"]

[clients.bob]
subscribe = ["#"]

[clients.mallory]
subscribe = ["open"]
"""
OPEN, SECRET = b"open\0", b"secret\0"
MINE = 12345


def private(topic: str, publisher: Publisher, session: int) -> dict[str, bytes]:
    """The private topics for a subscriber's requests about a topic."""
    question = RecoveryRequest(topic, publisher.session, session, 0, 100, 0)
    return {
        "ready": ready_topic(topic, session),
        "ready-counted": ready_topic(topic, session, 2),
        "recovery": recovery_topic(question),
        "position": position_prefix(topic),
    }


FORBIDDEN = {
    "the-topic": SECRET,
    "everything": b"",
    "part-of-it": b"sec",
    "without-its-end": b"secret",
    "more-than-its-end": b"secret\0\x95",
    "all-that-begins-like-open": b"open",
    "a-wildcard": b"#\0",
    "two-topics": b"open\0secret\0",
    "all-ready-answers": b"\xff",
    "all-ready-answers-of-open": b"\xffopen\xff",
    "all-recovery-answers": b"\xfe",
    "all-recovery-answers-of-secret": b"\xfesecret\xfe",
    "all-positions": b"\xfd",
    "no-utf8": b"\xc3\x28\0",
}


def spied_on(
    scene: Scene, alice: Publisher, name: str, *wants: bytes
) -> tuple[list[bytes], int]:
    """The messages that a client with the subscriptions ``wants`` gets at the data port
    while another client receives everything, and the number of its disconnections."""
    bob = scene.receive("bob", "secret", "open")
    keys = scene.vault.keys(name).pair
    spy = scene.spy(keys, *scene.data_port(alice), *wants)
    spy.wait_for(DISCONNECTED, times=2)
    publish_and_receive(alice, "secret", bob, b"1", b"2")
    publish_and_receive(alice, "open", bob, b"3")
    return spy.received(), spy.saw(DISCONNECTED)


@attack(
    what="subscribing at a data port to a denied topic, to everything, to parts of topics, to "
    "all private topics",
    got="disconnected",
)
@pytest.mark.parametrize("want", FORBIDDEN.values(), ids=FORBIDDEN)
def test_subscribing_to_what_is_denied_ends_the_connection(
    make_scene: MakeScene, want: bytes
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open", history=10)
    # Together with an allowed topic: that does not come either.
    frames, _ = spied_on(scene, alice, "mallory", OPEN, want)
    assert frames == []


@attack(
    what="ready, recovery and position topics of a denied topic, its own and another "
    "client's",
    got="disconnected",
)
@pytest.mark.parametrize("kind", ["ready", "ready-counted", "recovery", "position"])
@pytest.mark.parametrize("owner", ["own", "another's"])
def test_asking_about_a_denied_topic_ends_the_connection(
    make_scene: MakeScene, kind: str, owner: str
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open", history=10)
    victim = scene.receive("bob", "secret")
    publish_and_receive(alice, "secret", victim, b"0")
    session = victim.subscriber.session if owner == "another's" else MINE
    want = private("secret", alice, session)[kind]
    frames, _ = spied_on(scene, alice, "mallory", want)
    assert frames == []


def test_an_authorized_client_receives_so_the_tests_above_can_fail(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open", history=10)
    wants = [SECRET, *private("secret", alice, MINE).values()]
    spy = scene.spy(scene.vault.keys("bob").pair, *scene.data_port(alice), *wants)
    frames: list[bytes] = []

    def all_came() -> bool:
        alice.publish_event("secret", b"1")
        frames.extend(spy.received())
        return all(any(frame.startswith(want) for frame in frames) for want in wants)

    wait_for(all_came, "all answers")
    assert spy.saw(DISCONNECTED) == 0


@attack(
    what="subscribing to everything with all topics granted",
    got="disconnected",
)
def test_subscribing_to_everything_is_denied_even_with_all_topics_granted(
    make_scene: MakeScene,
) -> None:
    """By the prefixes of ZeroMQ it would also get the private topics of others."""
    scene = make_scene()
    alice = scene.publisher("alice", "secret", "open")
    frames, _ = spied_on(scene, alice, "mallory", b"")
    assert frames == []


@attack(
    what="hand-made subscription messages of several parts",
    got="disconnected",
)
def test_raw_subscription_messages_are_judged_like_others(
    make_scene: MakeScene,
) -> None:
    """From an XSUB socket, several in one message, and malformed ones."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open")
    bob = scene.receive("bob", "secret")
    port, server = scene.data_port(alice)
    for frames in (
        [b"\x01" + SECRET],
        [b"\x01" + OPEN, b"\x01" + SECRET],
        [b"\x02anything", b"\x01" + SECRET],
    ):
        wire = scene.wire(zmq.XSUB, scene.vault.keys("mallory").pair, server)
        wire.connect(port)
        wire.wait_for(ADMITTED)
        wire.socket.send_multipart(frames)
        wire.wait_for(DISCONNECTED)
        publish_and_receive(alice, "secret", bob, b"1")
        assert [each for each in wire.received() if each.startswith(SECRET)] == []


def test_the_log_names_a_disconnected_client(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open")
    mallory = scene.vault.keys("mallory")
    scene.spy(mallory.pair, *scene.data_port(alice), SECRET).wait_for(DISCONNECTED)
    key = mallory.pair.public
    if scene.centralized:
        line = (
            "127.0.0.1: disconnected mallory: not authorized to subscribe to 'secret'"
        )
    else:
        line = (
            f"127.0.0.1: disconnected the client with key {key}: "
            "not authorized to subscribe to 'secret'"
        )
    wait_for(lambda: line in caplog.text, "a line")


def test_a_client_that_reconnects_in_a_loop_does_not_fill_the_log(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open")
    port, server = scene.data_port(alice)
    spy = scene.spy(scene.vault.keys("mallory").pair, port, server, SECRET)
    spy.wait_for(DISCONNECTED, times=5)
    assert caplog.text.count("not authorized") == 1  # of the one address


@attack(
    what="keeping a subscription after a revocation",
    got="disconnected",
)
def test_a_revoked_subscriber_receives_nothing_more(make_scene: MakeScene) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open")
    bob = scene.receive("bob", "open")
    spy = scene.spy(scene.vault.keys("mallory").pair, *scene.data_port(alice), OPEN)
    publish_until_seen(alice, "open", b"before", spy)

    scene.vault.revoke("mallory")
    spy.wait_for(DISCONNECTED)
    spy.wait_for(KEY_REJECTED)
    spy.received()
    publish_and_receive(alice, "open", bob, b"after")
    assert spy.received() == []


@attack(
    what="keeping a subscription that is no longer granted",
    got="disconnected each time",
)
def test_a_topic_that_is_no_longer_granted_is_no_longer_delivered(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open", "other")
    bob = scene.receive("bob", "open")
    spy = scene.spy(scene.vault.keys("mallory").pair, *scene.data_port(alice), OPEN)
    publish_until_seen(alice, "open", b"before", spy)

    scene.vault.write_policy(POLICY.replace('"open"', '"other"'))
    # It may still connect, but is disconnected after each subscription.
    spy.wait_for(DISCONNECTED, times=3)
    spy.received()
    publish_and_receive(alice, "open", bob, b"after")
    assert spy.received() == []


@attack(
    what="a publisher's port, used by a client without permission for its topics",
    got="rejected",
)
def test_a_client_without_a_right_to_its_topics_cannot_connect_to_a_publisher(
    make_scene: MakeScene,
) -> None:
    """At a publisher's own port; the broker's is open to all enrolled clients."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret")
    spy = scene.spy(
        scene.vault.keys("mallory").pair,
        alice.bind_port,
        scene.vault.keys("alice").pair.public,
        OPEN,
    )
    spy.wait_for(KEY_REJECTED)
    assert spy.saw(ADMITTED) == 0


def unsubscriptions(alice: Publisher, victim: int) -> list[bytes]:
    wanted = private("open", alice, victim)
    del wanted["ready-counted"]  # which would not be the victim's
    return [b"\x00" + each for each in (OPEN, *wanted.values())]


@attack(
    what="ending another client's subscription with forged unsubscriptions",
    got="nothing",
)
@pytest.mark.parametrize("subscribes", [False, True], ids=["never-had-it", "had-it"])
def test_nobody_ends_the_subscription_of_another(
    make_scene: MakeScene, subscribes: bool
) -> None:
    """The subscriptions of all peers are counted together, so one peer must not change
    another's."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open")
    bob = scene.receive("bob", "open")
    publish_and_receive(alice, "open", bob, b"before")
    port, server = scene.data_port(alice)
    mallory = scene.vault.keys("mallory").pair
    wire = scene.wire(zmq.XSUB, mallory, server)
    wire.connect(port)
    wire.wait_for(ADMITTED)
    ends = unsubscriptions(alice, bob.subscriber.session)
    if subscribes:
        for _ in range(3):
            for each in ends:
                wire.socket.send(b"\x01" + each[1:])
    for _ in range(50):
        for each in ends:
            wire.force(each)
    # Its last subscription is active, so all earlier ones were processed.
    wire.socket.send(b"\x01" + OPEN)
    publish_until_seen(alice, "open", b"x", wire)

    assert alice.subscriber_count >= 1
    publish_and_receive(alice, "open", bob, b"after")
    wire.close()
    publish_and_receive(alice, "open", bob, b"after it has gone")
    assert alice.subscriber_count == 1


def test_many_connections_that_come_and_go_leave_nothing_behind(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open")
    port, server = scene.data_port(alice)
    keys = scene.vault.keys("mallory").pair
    for number in range(30):
        wire = scene.wire(zmq.XSUB, keys, server)
        wire.connect(port)
        wire.wait_for(ADMITTED)
        for each in private("open", alice, number).values():
            for _ in range(3):
                wire.socket.send(b"\x01" + each)
        wire.close()
    wait_for(lambda: alice.subscriber_count == 0, "the end of all")
    bob = scene.receive("bob", "open")
    publish_and_receive(alice, "open", bob, b"1")
    assert alice.subscriber_count == 1


def test_a_subscriber_that_is_not_registered_may_have_what_it_may(
    make_scene: MakeScene,
) -> None:
    """Not an attack: the policy decides, not the registration."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "open")
    spy = scene.spy(scene.vault.keys("mallory").pair, *scene.data_port(alice), OPEN)
    publish_until_seen(alice, "open", b"x", spy)
    assert spy.saw(DISCONNECTED) == 0


def test_reports_of_readiness_are_by_topic(make_scene: MakeScene) -> None:
    """Ready topics of a granted topic do not make a subscriber of a denied one."""
    scene = make_scene(POLICY)
    alice = scene.publisher("alice", "secret", "open")
    mallory = scene.talker(scene.vault.keys("mallory"))
    session = mallory.registered(register("subscriber", ["open"], "127.0.0.1")).session
    spy = scene.spy(
        scene.vault.keys("mallory").pair,
        *scene.data_port(alice),
        ready_topic("secret", session),
    )
    spy.wait_for(DISCONNECTED, times=2)
    bob = scene.receive("bob", "secret")
    publish_and_receive(alice, "secret", bob, b"1")
    assert alice._runtime.core.ready.sessions == {bob.subscriber.session}
