"""The subscriber's core: frames, news and times in, effects out. No socket, no clock."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_sub_socket import SUBSCRIBER, FakeSubSocket

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.defaults import MAX_JUMP, MAX_TOPICS_PER_CLIENT
from pubsub_common.protocol import numbers
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    Event,
    encode_event,
    encode_ready_reply,
)
from pubsub_common.protocol.messages import (
    Departure,
    Model,
    PublisherInfo,
    Registered,
)
from pubsub_common.protocol.recovery_messages import (
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.effects import (
    Connect,
    Deliver,
    Disconnect,
    Effect,
    Listen,
    Lost,
    Malformed,
    NoHistory,
    OwnerIdle,
    PublisherJoined,
    PublisherLeft,
    Request,
    Subscribe,
    Unsubscribe,
    Withdraw,
)

PUBLISHER = PublisherInfo(session=1, topics=["A"], address="10.0.0.1:1")
HIDDEN = PublisherInfo(session=1, topics=["A"])


def registered(
    *publishers: PublisherInfo, model: Model = "decentralized", **fields: Any
) -> Registered:
    fields = {
        "id": 1,
        "version": 1,
        "session": SUBSCRIBER,
        "epoch": 1,
        "lease_s": 6.0,
        **fields,
    }
    return Registered(model=model, publishers=list(publishers), **fields)


def updated(*joined: PublisherInfo, left: tuple[Departure, ...] = ()) -> Any:
    return PublishersUpdated(joined, left)


class Steps:
    """A core that is registered, at one time after the other."""

    def __init__(self, *publishers: PublisherInfo, **options: Any) -> None:
        self.core = SubscriberCore(options.pop("topics", ["A"]), **options)
        self.now = 0.0
        self.core.register(registered(*publishers), self.now)
        self.connection = FakeSubSocket(0, [])

    def receive(self, frame: bytes) -> list[Effect]:
        return self.core.receive(frame, self.connection, 5, self.now)

    def event(self, number: int, topic: str = "A") -> list[Effect]:
        return self.receive(encode_event(topic, "p", 1, number, 1, b"x"))

    def tick(self, after_s: float, *, idle: bool = True) -> list[Effect]:
        self.now += after_s
        return self.core.tick(self.now, idle=idle)


def delivered(effects: list[Effect]) -> list[int]:
    return [
        event.sequence
        for effect in effects
        if isinstance(effect, Deliver)
        for event in effect.events
    ]


# Frames


def test_the_first_event_of_a_stream_is_delivered_and_its_stream_known() -> None:
    steps = Steps()

    [effect] = steps.event(3)

    assert isinstance(effect, Deliver)
    [event] = effect.events
    assert isinstance(event, Event)
    assert (event.topic, event.sequence, event.received_ns) == ("A", 3, 5)
    assert steps.core.trackers[1, "A"].expected == 4


@pytest.mark.parametrize("recovers", [False, True])
def test_what_comes_by_memory_and_whole_is_no_duplicate(recovers: bool) -> None:
    steps = Steps(**({"recover_timeout_s": 5.0, "max_held": 9} if recovers else {}))
    steps.event(3)
    steps.connection.shared.add(1)

    assert steps.event(3) == []
    assert delivered(steps.event(4)) == [4]
    assert steps.core.streams.counts().duplicated == 0

    steps.connection.shared.clear()
    steps.event(4)
    assert steps.core.streams.counts().duplicated == 1


def test_a_gap_is_told_before_the_event_behind_it() -> None:
    steps = Steps()
    steps.event(0)

    lost, deliver = steps.event(3)

    assert lost == Lost(Gap(1, "A", 1, 2))
    assert delivered([deliver]) == [3]
    assert steps.core.lost == {"A": 2}


def test_losses_of_several_sessions_add_up_to_no_more_than_a_heartbeat_may_tell() -> (
    None
):
    steps = Steps(PUBLISHER, HIDDEN)
    for session in (1, 2, 3):
        for number in (*range(0, numbers.LARGEST, MAX_JUMP), numbers.LARGEST):
            steps.receive(encode_event("A", "p", session, number, 1, b"x"))

    assert steps.core.lost == {"A": numbers.LARGEST}
    assert steps.core.streams.counts().lost == numbers.LARGEST


def test_losses_of_more_topics_than_a_client_may_have_are_not_told_one_by_one() -> None:
    topics = [f"t{number}" for number in range(MAX_TOPICS_PER_CLIENT + 2)]
    steps = Steps(topics=topics)
    for topic in topics:
        steps.event(0, topic)
        steps.event(2, topic)

    assert list(steps.core.lost) == topics[:MAX_TOPICS_PER_CLIENT]
    assert steps.core.streams.counts().lost == len(topics)


def test_a_batch_is_delivered_but_for_what_has_come() -> None:
    steps = Steps()
    steps.event(0)
    body = encode_batch_body("p", 1, 0, [1, 2, 3], [b"", b"", b""])

    assert delivered(steps.receive(batch_prefix("A") + body)) == [1, 2]


@pytest.mark.parametrize(
    "frame",
    [b"", b"A", b"A\0garbage", b"A\0\3\x90", b"B\0\1\x90", b"\xff\0", b"\xfeA\xfe\0"],
)
@pytest.mark.parametrize("recovering", [False, True])
def test_a_frame_that_is_none_is_counted(frame: bytes, recovering: bool) -> None:
    steps = Steps(recover_timeout_s=1.0 if recovering else None)

    [effect] = steps.receive(frame)

    assert isinstance(effect, Malformed)
    assert steps.core.malformed_count == 1


def test_an_answer_makes_ready_and_begins_the_stream() -> None:
    steps = Steps(PUBLISHER)
    assert steps.core.streams.ready.awaited() == 1

    assert steps.receive(encode_ready_reply("A", SUBSCRIBER, "p", 1, 7)) == []

    assert steps.core.streams.ready.awaited() == 0
    assert delivered(steps.event(7)) == [7]
    assert not steps.core.lost


# Recovery


def test_what_is_missing_is_asked_for_and_the_question_withdrawn() -> None:
    steps = Steps(recover_timeout_s=10.0, max_held=10)
    steps.event(0)

    [request] = steps.event(2)

    assert isinstance(request, Request)
    question = parse_recovery_request(request.raw)
    assert question is not None
    assert (question.publisher, question.subscriber) == (1, SUBSCRIBER)
    assert (question.first, question.last) == (1, 1)
    answer = encode_recovery_reply(question, "p", 1, [0], [b""])
    deliver, withdraw = steps.receive(answer)
    assert delivered([deliver]) == [1, 2]
    assert withdraw == Withdraw(1, "A", request.raw)
    assert steps.core.next_deadline() is None


@pytest.mark.parametrize("idle", [True, False])
def test_what_does_not_come_in_time_is_lost_busy_or_not(idle: bool) -> None:
    steps = Steps(recover_timeout_s=10.0, max_held=1000)
    steps.event(0)
    effects = steps.event(2)
    number = 2
    while not any(isinstance(effect, Lost) for effect in effects):
        number += 1
        effects = [*steps.event(number), *steps.tick(0.05, idle=idle)]
        assert steps.now < 10.5

    assert steps.now >= 10.0
    assert Lost(Gap(1, "A", 1, 1)) in effects
    assert delivered(effects) == list(range(2, number + 1))


def test_a_publisher_without_history_is_told_of_if_its_beginning_was_wanted() -> None:
    steps = Steps(recover_timeout_s=10.0, max_held=10, from_start=True)
    [request] = steps.receive(encode_ready_reply("A", SUBSCRIBER, "p", 1, 4))
    assert isinstance(request, Request)
    question = parse_recovery_request(request.raw)
    assert question is not None

    effects = steps.receive(encode_recovery_reply(question, "p", 4, [], []))

    assert effects == [
        Withdraw(1, "A", request.raw),
        NoHistory("session 1", "A"),
    ]
    assert delivered(steps.event(4)) == [4]


# What the broker tells


def test_a_registration_with_a_decentralized_broker_connects_to_publishers() -> None:
    core = SubscriberCore(["A"])

    effects = core.register(registered(PUBLISHER), 0.0)

    assert effects == [
        Subscribe(("A",)),
        Connect(PUBLISHER),
        PublisherJoined(PUBLISHER),
    ]
    assert (core.session, core.model) == (SUBSCRIBER, "decentralized")
    again = core.register(registered(PUBLISHER), 1.0)
    assert again == [Subscribe(("A",))]


def test_a_registration_with_a_centralized_broker_listens_to_it() -> None:
    core = SubscriberCore(["A", "B"])
    ports = {"A": 5, "B": 6}

    effects = core.register(registered(HIDDEN, model="centralized", ports=ports), 0.0)

    assert effects == [Listen(ports, 2), PublisherJoined(HIDDEN)]


def test_a_broker_that_restarted_forwards_from_its_ports_and_all_answer_again() -> None:
    core = SubscriberCore(["A"])
    core.register(registered(HIDDEN, model="centralized", ports={"A": 5}), 0.0)
    ready = encode_ready_reply("A", SUBSCRIBER, "p", 1, 0)
    core.receive(ready, FakeSubSocket(0, []), 0, 0.0)
    assert core.streams.ready.awaited() == 0

    effects = core.register(
        registered(HIDDEN, model="centralized", ports={"A": 7}, epoch=2), 1.0
    )

    assert effects == [Listen({"A": 7}, 1)]
    assert core.streams.ready.awaited() == 1


def test_a_broker_may_come_back_with_the_other_model() -> None:
    core = SubscriberCore(["A"])
    core.register(registered(HIDDEN, model="centralized", ports={"A": 5}), 0.0)

    effects = core.register(registered(PUBLISHER, epoch=2), 1.0)

    assert effects[:2] == [Subscribe(("A",)), Connect(PUBLISHER)]
    assert core.model == "decentralized"


def test_a_publisher_that_joins_by_a_wildcard_brings_its_topics() -> None:
    steps = Steps(topics=["s/#"])
    info = PublisherInfo(session=1, topics=["s/a"], address="10.0.0.1:1")

    effects = steps.core.change_publishers(updated(info), 0.0)

    assert effects == [Subscribe(("s/a",)), Connect(info), PublisherJoined(info)]
    assert delivered(steps.event(0, "s/a")) == [0]


def test_a_publisher_that_left_is_disconnected_when_all_of_it_has_come() -> None:
    info = PublisherInfo(session=1, topics=["s/a"], address="10.0.0.1:1")
    steps = Steps(info, topics=["s/#"])
    steps.event(0, "s/a")
    departure = Departure(session=1, next_sequences={"s/a": 2})

    effects = steps.core.change_publishers(updated(left=(departure,)), 0.0)

    assert effects == [PublisherLeft(info)]
    assert steps.tick(0.0) == []
    steps.event(1, "s/a")
    assert steps.tick(0.0) == [Disconnect(info), Unsubscribe("s/a")]
    assert steps.core.next_deadline() is None


def test_what_a_dead_publisher_did_not_send_is_waited_for_no_longer() -> None:
    steps = Steps(PUBLISHER)
    steps.event(0)
    steps.core.change_publishers(updated(left=(Departure(session=1),)), 0.0)
    steps.tick(0.0)

    assert steps.tick(GRACE_S - 0.1) == []
    assert steps.tick(0.2) == [Disconnect(PUBLISHER)]


def test_an_address_that_another_publisher_has_taken_over_stays_connected() -> None:
    successor = PublisherInfo(session=2, topics=["A"], address=PUBLISHER.address)
    steps = Steps(PUBLISHER)
    left = (Departure(session=1),)
    steps.core.change_publishers(updated(successor, left=left), 0.0)
    steps.tick(0.0)

    assert steps.tick(GRACE_S) == [Disconnect(PUBLISHER, address_in_use=True)]


def test_a_revoked_publisher_is_disconnected_at_once() -> None:
    steps = Steps(PUBLISHER)

    effects = steps.core.change_publishers(
        updated(left=(Departure(session=1, revoked=True),)), 0.0
    )

    assert effects == [Disconnect(PUBLISHER), PublisherLeft(PUBLISHER)]


def test_thousands_of_topics_are_a_matter_of_a_moment() -> None:
    """8,000 streams, each with an owner, come, answer, leave and are finished: work
    for one of them must not search all of them."""
    topics = [f"t/{number}" for number in range(4000)]
    infos = [
        PublisherInfo(
            session=session,
            topics=topics,
            address=f"10.0.0.{session}:1",
            strengths=dict.fromkeys(topics, session),
        )
        for session in (1, 2)
    ]
    core = SubscriberCore(["#"], recover_timeout_s=10.0, max_held=10, from_start=True)
    connection = FakeSubSocket(0, [])
    core.register(registered(*infos), 0.0)
    looked_at = 0

    for info in infos:
        for topic in topics:
            frame = encode_ready_reply(topic, SUBSCRIBER, "p", info.session, 1)
            core.receive(frame, connection, 0, 0.0)
            core.next_deadline()
            looked_at += 1
    assert core.streams.ready.awaited() == 0
    core.tick(0.6, idle=False)
    left = tuple(Departure(session=info.session) for info in infos)
    core.change_publishers(updated(left=left), 1.0)
    core.tick(1.0, idle=True)

    effects = core.tick(1.0 + GRACE_S, idle=True)

    assert looked_at == 8000
    assert sum(isinstance(effect, Unsubscribe) for effect in effects) == 4000
    assert sum(isinstance(effect, Disconnect) for effect in effects) == 2


def test_recovered_events_with_a_bad_name_are_malformed() -> None:
    steps = Steps(recover_timeout_s=10.0)
    steps.event(0)
    [request] = steps.event(2)
    assert isinstance(request, Request)
    question = parse_recovery_request(request.raw)
    assert question is not None

    [effect] = steps.receive(encode_recovery_reply(question, "p\n", 1, [0], [b""]))

    assert isinstance(effect, Malformed)
    assert "\n" not in effect.detail


# Owners that send nothing


STRONG = PublisherInfo(
    session=1, topics=["A"], address="10.0.0.1:1", strengths={"A": 9}
)
WEAK = PublisherInfo(session=2, topics=["A"], address="10.0.0.2:1")


class OwnedTopic:
    """A subscriber of a topic that a strong publisher owns, and a weak one has too."""

    def __init__(self, owner_idle_s: float | None, **options: Any) -> None:
        self.steps = Steps(STRONG, WEAK, **options)
        reply = registered(STRONG, WEAK, owner_idle_s=owner_idle_s)
        self.steps.core.register(reply, 0.0)

    def event(self, publisher: PublisherInfo, number: int, at: float) -> list[Effect]:
        self.steps.now = at
        return self.steps.receive(
            encode_event("A", "p", publisher.session, number, 1, b"x")
        )


@pytest.mark.parametrize("recover", [{}, {"recover_timeout_s": 5.0}])
def test_an_owner_that_sends_nothing_while_others_do_is_given_up_until_it_does(
    recover: dict[str, Any],
) -> None:
    topic = OwnedTopic(2.0, **recover)
    assert delivered(topic.event(STRONG, 0, 0.0)) == [0]
    assert delivered(topic.event(WEAK, 0, 1.0)) == []
    assert delivered(topic.event(WEAK, 1, 2.9)) == []

    idle, deliver = topic.event(WEAK, 2, 3.1)

    assert idle == OwnerIdle("10.0.0.1:1", "A")
    assert delivered([deliver]) == [2]
    assert delivered(topic.event(WEAK, 3, 3.2)) == [3]
    # It is back: nothing of it is lost, and the other one is not heard.
    assert delivered(topic.event(STRONG, 1, 3.3)) == [1]
    assert delivered(topic.event(WEAK, 4, 3.4)) == []
    assert topic.steps.core.lost == {}


def test_an_owner_that_sends_now_and_then_stays_the_owner() -> None:
    topic = OwnedTopic(2.0)
    for second in range(10):
        assert delivered(topic.event(WEAK, second, second)) == []
        assert delivered(topic.event(STRONG, second, second + 0.5)) == [second]


def test_without_a_time_an_owner_may_be_silent_for_ever() -> None:
    topic = OwnedTopic(None)
    for number in range(3):
        assert topic.event(WEAK, number, 1e6 * number) == []


def test_an_owner_that_has_never_sent_anything_is_given_up_too() -> None:
    topic = OwnedTopic(2.0)
    assert topic.event(WEAK, 0, 0.0) == []
    assert delivered(topic.event(WEAK, 1, 2.0)) == [1]


def test_one_that_was_given_up_and_has_left_is_forgotten() -> None:
    topic = OwnedTopic(2.0)
    topic.event(WEAK, 0, 0.0)
    topic.event(WEAK, 1, 2.0)
    core = topic.steps.core
    for session in (1, 2):
        core.change_publishers(updated(left=(Departure(session=session),)), 3.0)

    core.tick(1e6, idle=True)
    core.tick(2e6, idle=True)

    idle = core.streams.idle_owners
    assert (idle._watched, idle._given_up) == ({}, {})
