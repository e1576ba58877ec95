"""Modified publishers: with forbidden events, in another client's name, or after a
revocation."""

from __future__ import annotations

import pytest
import zmq
from support.attack_rows import attack
from support.attack_tools import (
    ADMITTED,
    NO_ANSWER,
    MakeScene,
    RoguePublisher,
    Scene,
    disconnect,
    publish_and_receive,
    register,
)
from support.ports import free_port
from support.running_roles import Receiver

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import encode_ready_reply, ready_topic
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
)
from pubsub_common.testing import wait_for
from pubsub_subscriber.connections import secure_direct

POLICY = """
[clients.alice]
publish = ["#"]

[clients.bob]
subscribe = ["#"]

[clients.mallory]
publish = ["A", "C"]
"""


def receives(mallory: RoguePublisher, bob: Receiver, *payloads: bytes) -> None:
    """Mallory's events of A arrive, so all earlier ones have arrived, too."""
    for payload in payloads:
        mallory.send(mallory.frame("A", payload))
    wait_for(lambda: set(payloads) <= set(bob.payloads), f"{payloads}")


def of_topic(bob: Receiver, topic: str) -> list[bytes]:
    return [event.payload for event in bob.events if event.topic == topic]


def test_what_it_may_publish_arrives_so_the_tests_below_can_fail(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "C")
    mallory = scene.rogue("mallory", "A", "C")
    for topic in mallory.topics:
        mallory.wait_for_subscribers_of(topic)
        mallory.send(mallory.frame(topic, b"one"))
        mallory.send(mallory.batch(topic, b"two", b"three"))
        wait_for(lambda: len(of_topic(bob, topic)) == 3, "all")  # noqa: B023
    assert bob.subscriber.malformed_count == 0


@attack(
    what="events and batches of another topic than registered",
    got="do not arrive",
)
def test_events_of_another_topic_than_registered_do_not_arrive(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "B", "C")
    # A publisher has the topic, so it is subscribed to.
    alice = scene.publisher("alice", "B", "C")
    publish_and_receive(alice, "B", bob, b"alice's")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")

    for topic in ("B", "C"):  # C would be allowed, had it registered for it
        mallory.send(mallory.frame(topic, b"forged"))
        mallory.send(mallory.batch(topic, b"forged", b"forged"))
    receives(mallory, bob, b"1", b"2")

    assert of_topic(bob, "B") == [b"alice's"]
    assert of_topic(bob, "C") == []
    assert bob.subscriber.malformed_count == 0  # they have not even come


@attack(
    what="the same events behind a first part that is allowed",
    got="do not arrive",
)
def test_events_behind_one_that_is_allowed_do_not_arrive(make_scene: MakeScene) -> None:
    """ZeroMQ only filters by the first part of a message."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "B")
    alice = scene.publisher("alice", "B")
    publish_and_receive(alice, "B", bob, b"alice's")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"0")

    mallory.send(mallory.frame("A", b"first"), mallory.frame("B", b"forged"))
    mallory.send(mallory.frame("A", b"first"), mallory.batch("B", b"forged", b"x"))
    mallory.send(
        mallory.frame("A", b"first"),
        mallory.frame("B", b"forged", alice.session),
        mallory.frame("B", b"forged"),
    )
    receives(mallory, bob, b"1", b"2")

    assert of_topic(bob, "B") == [b"alice's"]
    publish_and_receive(alice, "B", bob, b"still hers")


@attack(
    what="forged ready, recovery and position answers for another topic",
    got="do not arrive",
)
def test_private_answers_about_another_topic_do_not_arrive(
    make_scene: MakeScene,
) -> None:
    """Ready answers, positions, and answers about missed events."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "B", recover=True)
    alice = scene.publisher("alice", "B", history=10)
    publish_and_receive(alice, "B", bob, b"alice's")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")

    reader = bob.subscriber.session
    question = RecoveryRequest("B", alice.session, reader, 1, 5, 0)
    forged = [
        encode_ready_reply("B", reader, alice.address, alice.session, 1000),
        encode_ready_reply("B", reader, mallory.address, mallory.session, 1000),
        encode_position("B", alice.address, alice.session, 1000),
        encode_recovery_reply(
            question, alice.address, 1, [1, 2], [b"forged", b"forged"]
        ),
        ready_topic("B", reader) + b"\0garbage",
    ]
    for frame in forged:
        mallory.send(frame)
    receives(mallory, bob, b"1", b"2")

    assert of_topic(bob, "B") == [b"alice's"]
    assert bob.subscriber.counts().lost == 0
    publish_and_receive(alice, "B", bob, b"next")
    assert of_topic(bob, "B") == [b"alice's", b"next"]
    assert bob.subscriber.counts().lost == 0


@attack(
    what="events in another publisher's name, on a topic that both may publish",
    got="rejected",
)
def test_events_in_the_name_of_another_publisher(
    make_scene: MakeScene, caplog: pytest.LogCaptureFixture
) -> None:
    """On a topic that it may publish: the broker (centralized) or the subscriber
    rejects messages that do not name the session registered with its key."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    alice = scene.publisher("alice", "A")
    publish_and_receive(alice, "A", bob, b"hers")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")

    mallory._numbers[alice.session, "A"] = iter(range(1, 100))  # type: ignore[assignment]
    hers = (alice.address, alice.session)
    mallory.send(mallory.frame("A", b"forged", alice.session))
    mallory.send(mallory.frame("A", b"forged" * 10_000, alice.session))
    mallory.send(batch_prefix("A") + encode_batch_body(*hers, 1, [1], [b"forged"]))
    receives(mallory, bob, b"1", b"2")
    publish_and_receive(alice, "A", bob, b"hers too")

    assert set(bob.payloads) == {b"hers", b"1", b"2", b"hers too"}
    assert bob.subscriber.counts().lost == 0
    assert (bob.subscriber.malformed_count > 0) != scene.centralized
    said = "127.0.0.1: dropped a message that mallory sent as another publisher"
    assert caplog.text.count(said) == scene.centralized


@attack(
    what="ready, recovery and position answers in another publisher's name, on this "
    "topic",
    got="rejected, like events",
)
def test_answers_in_the_name_of_another_publisher(make_scene: MakeScene) -> None:
    """Positions, and answers about missed events, on a topic of both."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    alice = scene.publisher("alice", "A", history=10)
    publish_and_receive(alice, "A", bob, b"hers")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")

    reader = bob.subscriber.session
    hers = (alice.address, alice.session)
    question = RecoveryRequest("A", alice.session, reader, 1, 1, 0)
    forged = [
        encode_ready_reply("A", reader, *hers, 1000),
        encode_position("A", *hers, 1000),
        encode_recovery_reply(question, alice.address, 1, [1], [b"forged"]),
    ]
    # a subscriber that has requested all of this, and so would receive it
    if scene.centralized:
        asked = [frame[: frame.index(0) + 1] for frame in forged]
        asked[0], asked[2] = asked[0][:-1], asked[2][:-1]
        port, server = scene.data_port(alice)
        spy = scene.spy(scene.vault.keys("bob").pair, port, server, b"A\0", *asked)
        wait_for(lambda: mallory.look() >= set(asked), "it")
    for frame in forged:
        mallory.send(frame)
    receives(mallory, bob, b"1", b"2")
    publish_and_receive(alice, "A", bob, b"hers too")

    assert set(bob.payloads) == {b"hers", b"1", b"2", b"hers too"}
    assert bob.subscriber.counts().lost == 0
    if scene.centralized:
        while not (frame := spy.next()).endswith(b"hers too"):
            assert frame not in forged


def test_events_of_a_publisher_restarted_at_its_address_arrive(
    make_scene: MakeScene,
) -> None:
    """It has another session on the same connection: not a forgery."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    port = free_port()
    for payload in (b"1", b"2", b"3"):
        alice = scene.publisher("alice", "A", bind_port=port)
        publish_and_receive(alice, "A", bob, payload)
        alice.disconnect()
    assert bob.payloads == [b"1", b"2", b"3"]


def revoke(scene: Scene, mallory: RoguePublisher, bob: Receiver) -> None:
    """All connections to mallory's port close, and no more events come from them."""
    scene.vault.revoke("mallory")
    wait_for(lambda: mallory.connections_ended() >= 1, "the end of the connection")
    mallory.look()
    mallory.send(mallory.frame("A", b"after the revocation"))
    for _ in range(100):
        mallory.send(mallory.frame("A", b"after the revocation"))
    alice = scene.publisher("alice", "A")
    publish_and_receive(alice, "A", bob, b"alice's")
    assert b"after the revocation" not in bob.payloads


@attack(
    what="publishing after a revocation",
    got="no event arrives",
)
def test_events_of_a_revoked_publisher_no_longer_arrive(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"1", b"2")
    revoke(scene, mallory, bob)


@attack(
    what="flooding while being revoked",
    got="no event arrives after that",
)
def test_events_of_a_publisher_revoked_while_it_floods_no_longer_arrive(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"1")
    scene.vault.revoke("mallory")

    def ended() -> bool:
        for _ in range(500):
            mallory.send(mallory.frame("A", b"flood"))
        return mallory.connections_ended() >= 1

    wait_for(ended, "the end of the connection")
    alice = scene.publisher("alice", "A")
    publish_and_receive(alice, "A", bob, b"alice's")
    count = len(bob.payloads)
    mallory.send(mallory.frame("A", b"after"))
    publish_and_receive(alice, "A", bob, b"more")
    assert bob.payloads[count:] == [b"more"]


@attack(
    what="disconnecting, continuing to publish, and being revoked",
    got="no event arrives",
)
def test_events_of_a_publisher_revoked_after_it_disconnected_no_longer_arrive(
    make_scene: MakeScene,
) -> None:
    """A publisher that disconnected may have events in flight, so it is received for a
    while. This must have an end, above all when it is revoked."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"1")
    mallory.control.ask(disconnect(mallory.session))
    receives(mallory, bob, b"2")
    revoke(scene, mallory, bob)


@attack(
    what="disconnecting, and publishing until the broker has forgotten it",
    got="events arrive for a minute; centralized, until it is revoked",
)
def test_events_of_a_disconnected_publisher_arrive_for_a_limited_time(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decentralized: after the broker has forgotten it, it cannot be revoked."""
    monkeypatch.setattr(secure_direct, "_MAX_DRAIN_S", 0.5)
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"1")
    mallory.control.ask(disconnect(mallory.session))

    def ended() -> bool:
        mallory.send(mallory.frame("A", b"still there"))
        return mallory.connections_ended() >= 1

    if scene.centralized:  # it may publish, and the broker sees when it is revoked
        scene.vault.revoke("mallory")
    wait_for(ended, "the end of the connection")


@attack(
    what="a topic removed before it is denied",
    got="does not arrive",
)
def test_a_topic_that_was_given_up_cannot_be_used_when_it_is_denied(
    make_scene: MakeScene,
) -> None:
    """It had A and C, has only A now, and loses the permission for C."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "C")
    mallory = scene.rogue("mallory", "A", "C")
    mallory.wait_for_subscribers_of("C")
    mallory.wait_for_subscribers_of("A")
    mallory.send(mallory.frame("C", b"allowed"))
    wait_for(lambda: of_topic(bob, "C") == [b"allowed"], "the event")

    again = register("publisher", ["A"], mallory.address, id=2, session=mallory.session)
    mallory.control.registered(again)
    wait_for(lambda: b"C\0" not in mallory.look(), "its end")
    mallory.send(mallory.frame("C", b"denied"))
    receives(mallory, bob, b"1", b"2")
    assert of_topic(bob, "C") == [b"allowed"]


@attack(
    what="publishing on topics that a new policy takes away",
    got="removed, does not arrive",
)
def test_a_policy_that_grants_less_ends_what_a_publisher_does(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A", "C")
    mallory = scene.rogue("mallory", "A", "C")
    mallory.wait_for_subscribers_of("C")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"1")

    mallory.subscriptions.clear()  # now: the next one may come as soon as this ends
    scene.vault.write_policy(POLICY.replace('"A", "C"', '"A"'))
    wait_for(lambda: mallory.connections_ended() >= 1, "the end of the connection")
    # It may come back with its remaining permissions.
    again = register(
        "publisher", ["A", "C"], mallory.address, id=2, session=mallory.session
    )
    assert mallory.control.refused(again) == "not_allowed"
    mallory.control.registered(
        register("publisher", ["A"], mallory.address, id=3, session=mallory.session)
    )
    mallory.wait_for_subscribers_of("A")
    mallory.send(mallory.frame("C", b"denied"))
    mallory.send(mallory.frame("A", b"x"), mallory.frame("C", b"denied"))
    receives(mallory, bob, b"2", b"3")
    assert of_topic(bob, "C") == []


@attack(
    what="a man in the middle at a publisher's address",
    got="failed handshakes",
)
def test_a_man_in_the_middle_at_a_publishers_address_is_not_talked_to(
    make_scene: MakeScene,
) -> None:
    """A program answers at the address of alice's publisher, with keys that are
    enrolled, but are not alice's."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    middle = scene.rogue("mallory", "A")
    middle.wait_for_subscribers_of("A")
    receives(middle, bob, b"in its own name")
    middle.look()
    middle.subscriptions.clear()
    before = middle.handshakes()
    middle.control.ask(disconnect(middle.session))

    hers = scene.talker(scene.vault.keys("alice"))
    session = hers.registered(register("publisher", ["A"], middle.address)).session
    wait_for(lambda: middle.failed_handshakes() >= 2, "vain attempts to connect")

    assert middle.handshakes() == before
    middle.look()
    assert middle.subscriptions == set()
    assert session not in {event.session for event in bob.events}


@attack(
    what="a man in the middle at the broker's address",
    got="failed handshakes",
)
def test_a_man_in_the_middle_at_the_brokers_address_learns_nothing(
    make_scene: MakeScene,
) -> None:
    scene = make_scene(POLICY)
    middle = scene.rogue("mallory", "A")
    bob = scene.vault.keys("bob")
    fooled = scene.wire(zmq.DEALER, bob.pair, bob.broker)
    fooled.connect(int(middle.address.split(":")[1]))
    fooled.wait_for(NO_ANSWER, times=2)
    assert fooled.saw(ADMITTED) == 0


def test_events_of_a_publisher_with_a_new_session_arrive_at_once(
    make_scene: MakeScene,
) -> None:
    """The broker did not hear from it for a while, and gave it another session: its
    events on the existing connection may arrive before the broker's message."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")
    receives(mallory, bob, b"before")
    connections = mallory.handshakes()

    for name in (b"one", b"two", b"three"):
        again = register("publisher", mallory.topics, mallory.address)
        mallory.session = mallory.control.registered(again).session
        mallory.send(mallory.frame("A", name))
        receives(mallory, bob, name + b" more")

    assert set(bob.payloads) > {b"one", b"two", b"three"}
    assert bob.subscriber.malformed_count == 0
    assert bob.subscriber.counts().lost == 0
    assert mallory.handshakes() == connections


@attack(
    what="events of a hundred invented sessions",
    got="centralized nothing; decentralized the events of eight, the rest counts as "
    "malformed",
)
def test_a_publisher_with_many_names_takes_no_memory(make_scene: MakeScene) -> None:
    """The number of remembered sessions is bounded."""
    scene = make_scene(POLICY)
    bob = scene.receive("bob", "A")
    mallory = scene.rogue("mallory", "A")
    mallory.wait_for_subscribers_of("A")

    for session in range(1, 100):
        mallory.send(mallory.frame("A", b"%d" % session, session))
    receives(mallory, bob, b"its own")

    assert len(bob.payloads) <= 1 + 8
    assert (bob.subscriber.malformed_count > 0) != scene.centralized
