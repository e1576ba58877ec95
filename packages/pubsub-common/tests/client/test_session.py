"""The client's half of the control protocol, step by step, with time as a number."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    BrokersUpdated,
    HeartbeatRefused,
    Postponed,
    PublishersUpdated,
    Rejected,
)
from pubsub_common.defaults import (
    BROKER_SILENCE_S,
    HEARTBEATS_PER_LEASE,
    LEASE_S,
    REGISTER_ANSWER_S,
    REGISTER_LATER_S,
    REGISTER_RETRY_S,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    Latency,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
)
from pubsub_common.protocol.versions import VERSIONS

IDENTITY = Identity(
    "subscriber", ("A", "B"), "10.0.0.2", "monotonic", model="decentralized"
)
SESSION = 1234
EPOCH = 99
PUBLISHER = PublisherInfo(session=5, topics=["A"], address="10.0.0.1:5556")


def registered(request: Register, **changes: Any) -> Registered:
    fields: dict[str, Any] = {
        "id": request.id,
        "version": 1,
        "session": SESSION,
        "epoch": EPOCH,
        "lease_s": LEASE_S,
        "model": "decentralized",
    }
    return Registered(**{**fields, **changes})


def due(client: ClientSession, now: float) -> Register | Heartbeat:
    """The message that is due at ``now``; that one is, and nothing else to tell."""
    message, updates = client.tick(now)
    assert message is not None
    assert updates == []
    return message


def due_register(client: ClientSession, now: float) -> Register:
    message = due(client, now)
    assert isinstance(message, Register)
    return message


def due_heartbeat(client: ClientSession, now: float) -> Heartbeat:
    message = due(client, now)
    assert isinstance(message, Heartbeat)
    return message


def joined(
    now: float = 0.0, heartbeat: HeartbeatInputs | None = None, **reply: Any
) -> ClientSession:
    """A client that has registered at ``now``."""
    client = ClientSession(IDENTITY, now, heartbeat)
    client.receive(registered(due_register(client, now), **reply), now)
    assert client.registered
    return client


# Registering


def test_a_new_client_registers_at_once_with_its_identity() -> None:
    client = ClientSession(IDENTITY, 10.0)

    assert client.next_deadline() == 10.0
    assert due_register(client, 10.0) == Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=["A", "B"],
        address="10.0.0.2",
        clock="monotonic",
        model="decentralized",
        session=None,
    )


def test_a_registration_says_all_of_the_identity_and_nothing_else() -> None:
    of_the_request = {"id", "versions", "session"}
    fields = {field.name for field in dataclasses.fields(Identity)}
    assert fields == set(Register.__struct_fields__) - of_the_request


def test_each_field_of_the_identity_is_in_the_registration() -> None:
    identity = Identity(
        role="publisher",
        topics=("A", "B"),
        address="10.0.0.1:5556",
        clock="monotonic",
        model="centralized",
        strengths={"A": 3},
        name="walker",
        place="lab",
    )
    unset = Identity("subscriber", (), "", "")

    request = due_register(ClientSession(identity, 0.0), 0.0)

    for field in dataclasses.fields(Identity):
        name, value = field.name, getattr(identity, field.name)
        assert value != getattr(unset, name), (
            f"give {name} another value than its default"
        )
        # A list works like a tuple.
        assert msgspec.to_builtins(getattr(request, name)) == (
            list(value) if isinstance(value, tuple) else value
        ), name


def test_nothing_is_due_before_its_time() -> None:
    client = ClientSession(IDENTITY, 10.0)

    assert client.tick(9.999) == (None, [])


def test_the_answer_makes_it_registered() -> None:
    client = ClientSession(IDENTITY, 0.0)
    reply = registered(due_register(client, 0.0), publishers=[PUBLISHER])

    assert client.receive(reply, 0.1) == [Accepted(reply, again=False)]
    assert client.registered
    assert (client.session, client.epoch) == (SESSION, EPOCH)


def test_without_a_connection_it_tries_again_shortly() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)

    client.send_failed(0.0)

    assert client.next_deadline() == REGISTER_RETRY_S
    assert due_register(client, REGISTER_RETRY_S).session is None


def test_with_a_connection_what_could_not_be_sent_is_due_at_once() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)
    client.send_failed(0.0)

    client.connected(0.1)

    assert client.next_deadline() == 0.1
    due_register(client, 0.1)


def test_a_connection_does_not_hurry_what_was_sent() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)
    client.send_failed(0.0)
    client.connected(0.1)
    due_register(client, 0.1)

    client.connected(0.2)

    assert client.next_deadline() == 0.1 + REGISTER_ANSWER_S


def test_a_retry_that_was_sent_is_not_sent_once_more() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)
    client.send_failed(0.0)
    due_register(client, REGISTER_RETRY_S)  # sent, before `connected` was asked

    client.connected(REGISTER_RETRY_S)

    assert client.next_deadline() == REGISTER_RETRY_S + REGISTER_ANSWER_S


def test_after_a_broken_connection_it_does_not_wait_for_an_answer() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)

    client.reconnected(0.1)

    due_register(client, 0.1)


def test_after_a_broken_connection_it_asks_at_once_whether_it_is_known() -> None:
    client = ClientSession(IDENTITY, 0.0)
    client.receive(registered(due_register(client, 0.0)), 0.0)

    client.reconnected(0.1)
    request, updates = client.tick(0.1)

    assert isinstance(request, Heartbeat)
    assert updates == []
    assert client.next_deadline() == 0.1 + client.lease_s / HEARTBEATS_PER_LEASE


def test_after_a_refusal_a_new_connection_changes_nothing() -> None:
    client = ClientSession(IDENTITY, 0.0)
    refusal = Error(id=due_register(client, 0.0).id, code="bad_topic", detail="no")
    client.receive(refusal, 0.0)

    client.reconnected(0.1)

    assert client.next_deadline() is None
    assert client.tick(0.1) == (None, [])


def test_without_an_answer_it_tries_again_after_a_while() -> None:
    client = ClientSession(IDENTITY, 0.0)
    first = due_register(client, 0.0)

    assert client.tick(REGISTER_ANSWER_S - 0.001) == (None, [])
    assert due_register(client, REGISTER_ANSWER_S).id > first.id


def test_the_answer_to_an_attempt_that_was_given_up_is_ignored() -> None:
    client = ClientSession(IDENTITY, 0.0)
    first = due_register(client, 0.0)
    second = due_register(client, REGISTER_ANSWER_S)

    assert client.receive(registered(first, session=1), 2.1) == []
    assert not client.registered
    assert client.receive(registered(second, session=2), 2.2) != []
    assert client.session == 2


@pytest.mark.parametrize(
    "code",
    [
        messages.WRONG_MODEL,
        messages.WRONG_VERSION,
        messages.WRONG_CLOCK,
        messages.BAD_TOPIC,
        messages.BAD_ADDRESS,
        messages.MALFORMED,
    ],
)
def test_a_refusal_is_final(code: str) -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)

    updates = client.receive(Error(id=request.id, code=code, detail="no"), 0.1)

    assert updates == [Rejected(code, "no")]
    assert client.next_deadline() is None
    assert client.tick(1e9) == (None, [])
    assert client.receive(registered(request), 0.2) == []
    assert not client.registered


@pytest.mark.parametrize("code", [messages.REVOKED, messages.NOT_ALLOWED])
def test_a_client_that_was_accepted_and_is_expelled_is_finished(code: str) -> None:
    client = ClientSession(IDENTITY, 0.0)
    client.receive(registered(due_register(client, 0.0)), 0.1)

    updates = client.receive(Error(id=-1, code=code, detail="no"), 0.2)

    assert updates == [Rejected(code, "no", ended=True)]
    assert client.next_deadline() is None


@pytest.mark.parametrize(
    "code", [messages.TOO_FAST, messages.SESSION_IN_USE, messages.UNKNOWN_SESSION]
)
def test_a_client_asked_to_come_later_does(code: str) -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)

    later = Error(id=request.id, code=code, detail="later")
    updates = client.receive(later, 0.1)

    assert updates == [Postponed(code, "later")]
    assert client.tick(0.1 + REGISTER_LATER_S - 0.01) == (None, [])
    again = due_register(client, 0.1 + REGISTER_LATER_S)
    assert client.receive(registered(again), 2.0) != []
    assert client.registered


@pytest.mark.parametrize("version", [0, 2, 2**53 - 1])
def test_a_version_that_the_client_does_not_speak_is_final(version: int) -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)

    [update] = client.receive(registered(request, version=version), 0.0)

    assert isinstance(update, Rejected)
    assert update.code == messages.WRONG_VERSION
    assert f"version {version} of" in update.detail
    assert not client.registered
    assert client.next_deadline() is None


def test_an_error_about_another_request_is_not_a_refusal() -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)
    error = Error(id=request.id + 1, code=messages.MALFORMED, detail="?")

    assert client.receive(error, 0.1) == []
    assert client.receive(registered(request), 0.2) != []


def refused(beat: Heartbeat, code: str = messages.MALFORMED) -> Error:
    return Error(id=beat.id, code=code, detail="?")


def test_a_client_whose_heartbeat_is_refused_says_so_and_registers_again() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)

    assert client.receive(refused(beat), 2.1) == [
        HeartbeatRefused(messages.MALFORMED, "?")
    ]

    again = due_register(client, 2.1)
    assert again.session == SESSION
    assert client.receive(registered(again), 2.2) != []
    assert client.registered


def test_a_heartbeat_of_which_the_broker_could_not_even_read_the_number() -> None:
    client = joined()
    due_heartbeat(client, 2.0)

    error = Error(id=-1, code=messages.MALFORMED, detail="?")
    assert client.receive(error, 2.1) == [HeartbeatRefused(messages.MALFORMED, "?")]


def test_a_client_whose_heartbeat_is_refused_right_after_that_is_finished() -> None:
    client = joined()
    client.receive(refused(due_heartbeat(client, 2.0)), 2.1)
    client.receive(registered(due_register(client, 2.1)), 2.2)

    second = due_heartbeat(client, 4.2)

    assert client.receive(refused(second), 4.3) == [
        Rejected(messages.MALFORMED, "?", ended=True)
    ]
    assert client.next_deadline() is None


def test_a_heartbeat_that_is_served_in_between_makes_the_next_refusal_a_first_one() -> (
    None
):
    client = joined()
    client.receive(refused(due_heartbeat(client, 2.0)), 2.1)
    client.receive(registered(due_register(client, 2.1)), 2.2)
    served = due_heartbeat(client, 4.2)
    client.receive(Alive(id=served.id, epoch=EPOCH, known=True), 4.3)

    updates = client.receive(refused(due_heartbeat(client, 6.3)), 6.4)

    assert updates == [HeartbeatRefused(messages.MALFORMED, "?")]


def test_an_error_about_an_earlier_heartbeat_means_nothing() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)
    client.receive(Alive(id=beat.id, epoch=EPOCH, known=True), 2.1)

    assert client.receive(refused(beat), 2.2) == []
    assert client.registered


def test_a_heartbeat_that_came_too_soon_is_only_a_heartbeat_less() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)

    assert client.receive(refused(beat, messages.TOO_FAST), 2.1) == []
    assert client.registered
    due_heartbeat(client, 4.0)


def test_a_broker_that_only_refuses_is_lost_with_the_lease() -> None:
    client = joined()
    for at in (2.0, 4.0, 6.0):
        client.receive(refused(due_heartbeat(client, at), messages.TOO_FAST), at)

    message, updates = client.tick(8.0)

    assert isinstance(message, Register)
    assert updates == [BrokerLost(farewell=False)]


def test_a_registration_of_which_the_broker_could_not_even_read_the_number() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)

    error = Error(id=-1, code=messages.MALFORMED, detail="?")

    assert client.receive(error, 0.1) == [Rejected(messages.MALFORMED, "?")]


def test_a_registration_that_was_not_looked_into_comes_again_later() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)

    error = Error(id=-1, code=messages.TOO_FAST, detail="later")

    assert client.receive(error, 0.1) == [Postponed(messages.TOO_FAST, "later")]
    due_register(client, 0.1 + REGISTER_LATER_S)


# The lease


def test_a_registered_client_renews_its_lease_several_times_per_lease() -> None:
    client = joined(lease_s=9.0)
    beats = []
    for _ in range(3):
        at = client.next_deadline()
        assert at is not None
        beat = due_heartbeat(client, at)
        client.receive(Alive(id=beat.id, epoch=EPOCH, known=True), at)
        beats.append((at, beat.session))

    assert beats == [(3.0, SESSION), (6.0, SESSION), (9.0, SESSION)]


def test_every_request_has_its_own_id() -> None:
    client = joined()
    ids = [due(client, 2.0 * turn).id for turn in (1, 2, 3)]

    assert len(set(ids)) == 3


class PublisherSession:
    """A registered client with next sequence numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        inputs = HeartbeatInputs(published=lambda: self._numbers)
        self.client = joined(0.0, inputs)

    def told(self, now: float, **numbers: int) -> dict[str, int] | None:
        """What a heartbeat at ``now`` tells of these next sequence numbers."""
        self._numbers = numbers
        message = due_heartbeat(self.client, now)
        self.client.receive(Alive(id=message.id, epoch=EPOCH, known=True), now)
        return message.published


def test_a_heartbeat_tells_the_numbers_that_have_changed() -> None:
    publisher = PublisherSession()
    assert publisher.told(2.0, A=10, B=0) == {"A": 10}
    assert publisher.told(4.0, A=10, B=0) == {}
    assert publisher.told(6.0, A=12, B=3) == {"A": 12, "B": 3}
    assert due_heartbeat(joined(), 2.0).published is None


def test_numbers_in_a_heartbeat_that_was_not_sent_are_told_again() -> None:
    publisher = PublisherSession()
    assert publisher.told(2.0, A=10, B=1) == {"A": 10, "B": 1}
    assert publisher.told(4.0, A=11, B=1) == {"A": 11}
    publisher.client.send_failed(4.0)
    assert publisher.told(4.0 + REGISTER_RETRY_S, A=11, B=1) == {"A": 11}


def test_a_broker_that_it_registers_with_again_is_told_all_numbers() -> None:
    publisher = PublisherSession()
    client = publisher.client
    assert publisher.told(2.0, A=10, B=1) == {"A": 10, "B": 1}
    client.receive(Alive(id=9, epoch=EPOCH + 1, known=False), 3.0)
    client.receive(registered(due_register(client, 3.0), epoch=EPOCH + 1), 3.0)
    assert publisher.told(5.0, A=10, B=1) == {"A": 10, "B": 1}


def test_numbers_and_latency_are_asked_for_only_when_they_are_told() -> None:
    asked: list[str] = []
    figures = Latency(count=1, p50_ns=2, p99_ns=3, max_ns=4)

    def published() -> dict[str, int]:
        asked.append("published")
        return {}

    def latency() -> Latency:
        asked.append("latency")
        return figures

    inputs = HeartbeatInputs(published=published, latency=latency)
    client = ClientSession(IDENTITY, 0.0, inputs)
    register, _ = client.tick(0.0)
    assert isinstance(register, Register)
    client.receive(registered(register), 0.0)
    client.tick(0.1)
    assert asked == []
    heartbeat, _ = client.tick(2.0)
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.latency == figures
    assert asked == ["published", "latency"]


def test_it_registers_again_when_its_session_is_unknown() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)

    assert client.receive(Alive(id=beat.id, epoch=EPOCH, known=False), 2.1) == []
    assert client.next_deadline() == 2.1
    again = due_register(client, 2.1)
    assert again.session == SESSION
    reply = registered(again)
    assert client.receive(reply, 2.2) == [Accepted(reply, again=True)]


def test_it_registers_again_when_the_broker_has_restarted() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)

    client.receive(Alive(id=beat.id, epoch=EPOCH + 1, known=True), 2.1)

    again = due_register(client, 2.1)
    assert again.session == SESSION
    client.receive(registered(again, epoch=EPOCH + 1), 2.2)
    assert client.epoch == EPOCH + 1


def test_it_registers_again_when_told_that_its_session_is_unknown() -> None:
    client = joined()
    beat = due_heartbeat(client, 2.0)

    client.receive(Error(id=beat.id, code=messages.UNKNOWN_SESSION, detail=""), 2.1)

    assert due_register(client, 2.1).session == SESSION


def test_a_broker_that_is_silent_for_a_lease_is_lost() -> None:
    client = joined(lease_s=6.0)
    for at in (2.0, 4.0, 6.0):
        due_heartbeat(client, at)

    message, updates = client.tick(8.0)

    assert updates == [BrokerLost(farewell=False)]
    assert isinstance(message, Register)
    assert message.session == SESSION
    assert not client.registered


def test_the_loss_of_the_broker_is_told_once() -> None:
    client = joined(lease_s=6.0)
    client.tick(8.0)

    assert client.tick(8.0 + REGISTER_ANSWER_S)[1] == []


def test_whatever_the_broker_says_shows_that_it_is_there() -> None:
    client = joined(lease_s=6.0)
    client.receive(PublishersChanged(revision=1, joined=[PUBLISHER]), 5.0)

    due_heartbeat(client, 8.0)


def test_a_client_that_was_stopped_for_longer_than_its_lease_registers_again() -> None:
    client = joined(lease_s=6.0)

    message, updates = client.tick(1000.0)

    assert isinstance(message, Register)
    assert updates == [BrokerLost(farewell=False)]


@pytest.mark.parametrize(
    "late",
    [
        Alive(id=2, epoch=EPOCH, known=False),
        Alive(id=2, epoch=EPOCH, known=True, revision=9),
        Error(id=2, code=messages.UNKNOWN_SESSION, detail=""),
    ],
)
def test_a_late_answer_to_a_heartbeat_does_not_disturb_a_registration(
    late: Alive | Error,
) -> None:
    client = joined(lease_s=6.0)
    assert due_heartbeat(client, 2.0).id == late.id
    again, _ = client.tick(1000.0)
    assert isinstance(again, Register)

    assert client.receive(late, 1000.1) == []

    assert client.tick(1000.1) == (None, [])
    client.receive(registered(again), 1000.2)

    assert client.registered
    due_heartbeat(client, 1002.2)


def test_a_broker_that_sends_farewell_is_asked_again_shortly() -> None:
    client = joined()

    assert client.receive(Farewell(), 1.0) == [BrokerLost(farewell=True)]
    assert client.receive(Farewell(), 1.0) == []
    assert client.next_deadline() == 1.0 + REGISTER_RETRY_S
    assert due_register(client, 1.0 + REGISTER_RETRY_S).session == SESSION


# Pushes


def test_a_push_names_publishers_that_joined_and_left() -> None:
    client = joined()
    left = [Departure(session=7)]

    updates = client.receive(
        PublishersChanged(revision=1, joined=[PUBLISHER], left=left), 1.0
    )

    assert updates == [PublishersUpdated([PUBLISHER], left)]


def test_the_heartbeat_names_the_last_push_that_was_seen() -> None:
    client = joined(revision=4)
    client.receive(PublishersChanged(revision=5), 1.0)

    assert due_heartbeat(client, 2.0).revision == 5


@pytest.mark.parametrize("revision", [0, 4, 6, 2**60])
def test_a_push_that_is_not_the_next_one_means_registering_again(
    revision: int,
) -> None:
    client = joined(revision=4)

    assert client.receive(PublishersChanged(revision=revision), 1.0) == []
    assert due_register(client, 1.0).session == SESSION


def test_a_missing_last_push_is_noticed_by_the_heartbeats_answer() -> None:
    client = joined(revision=4)
    beat = due_heartbeat(client, 2.0)

    client.receive(Alive(id=beat.id, epoch=EPOCH, known=True, revision=5), 2.1)

    assert due_register(client, 2.1).session == SESSION


def test_an_answer_with_the_revision_seen_changes_nothing() -> None:
    client = joined(revision=4)
    beat = due_heartbeat(client, 2.0)

    client.receive(Alive(id=beat.id, epoch=EPOCH, known=True, revision=4), 2.1)

    assert client.registered
    due_heartbeat(client, 4.0)


def test_pushes_before_the_reply_are_in_the_reply_already() -> None:
    client = joined()
    client.receive(PublishersChanged(revision=3), 1.0)  # one was missed
    again = due_register(client, 1.0)

    assert client.receive(PublishersChanged(revision=4), 1.1) == []
    assert client.next_deadline() == 1.0 + REGISTER_ANSWER_S
    client.receive(registered(again, revision=4), 1.2)

    assert client.receive(PublishersChanged(revision=5), 1.3) == [
        PublishersUpdated([], [])
    ]


# Leaving


def test_a_publisher_that_leaves_tells_how_far_each_topic_went() -> None:
    client = joined()

    assert client.leave({"A": 10, "B": 0}) == Disconnect(
        id=2, session=SESSION, next_sequences={"A": 10, "B": 0}
    )


def test_a_request_knows_whether_its_answer_is_pending() -> None:
    client = ClientSession(IDENTITY, 0.0)
    assert not client.registering
    due_register(client, 0.0)
    client.send_failed(0.0)
    assert not client.registering, "nothing was asked"

    request = due_register(client, 1.0)
    assert client.registering
    client.receive(registered(request), 1.1)
    assert not client.registering

    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)
    client.receive(Error(id=request.id, code=messages.TOO_FAST, detail="later"), 0.1)
    assert not client.registering


def test_one_that_never_registered_leaves_without_a_word() -> None:
    client = ClientSession(IDENTITY, 0.0)
    client.tick(0.0)

    assert client.leave({}) is None


def test_after_leaving_nothing_is_due_and_nothing_matters() -> None:
    client = joined()
    client.leave({})

    assert client.next_deadline() is None
    assert client.tick(1e9) == (None, [])
    assert client.receive(Disconnected(id=2), 1.0) == []
    assert client.receive(PublishersChanged(revision=1), 1.0) == []


# Changing what it is


def changed(*topics: str) -> Identity:
    return dataclasses.replace(IDENTITY, topics=topics)


def test_a_change_is_told_at_once_and_known_with_the_answer() -> None:
    client = joined()
    client.change(changed("C"), 1.0, 1)

    request = due_register(client, 1.0)
    assert (request.topics, client.told_change) == (["C"], 0)
    client.receive(registered(request), 1.1)

    assert client.told_change == 1
    assert client.registered


def test_a_change_during_a_registration_is_told_after_its_answer() -> None:
    client = joined()
    client.change(changed("C"), 1.0, 1)
    request = due_register(client, 1.0)
    client.change(changed("C", "D"), 1.0, 2)

    assert client.tick(1.0) == (None, [])
    client.receive(registered(request), 1.1)
    assert client.told_change == 1

    request = due_register(client, 1.1)
    assert request.topics == ["C", "D"]
    client.receive(registered(request), 1.2)
    assert client.told_change == 2


def test_a_change_before_the_first_answer_is_told_after_it() -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)
    client.change(changed("C"), 0.1, 1)
    client.receive(registered(request), 0.2)

    assert due_register(client, 0.2).topics == ["C"]


def test_a_change_that_could_not_be_sent_is_told_later() -> None:
    client = joined()
    client.change(changed("C"), 1.0, 1)
    due_register(client, 1.0)
    client.send_failed(1.0)
    client.change(changed("D"), 1.0, 2)

    request = due_register(client, 1.0 + REGISTER_RETRY_S)
    assert request.topics == ["D"]
    client.receive(registered(request), 2.0)
    assert client.told_change == 2


def test_what_a_broker_says_is_shown_and_not_too_long() -> None:
    client = ClientSession(IDENTITY, 0.0)
    request = due_register(client, 0.0)
    detail = "\x1b[2J\nforged\u202e" + "x" * 1_000_000

    [update] = client.receive(Error(id=request.id, code="bad_topic", detail=detail), 0)

    assert isinstance(update, Rejected)
    assert update.detail.startswith(r"\x1b[2J\nforged\u202exxx")
    assert len(update.detail) < 5000


def test_brokers_that_came_or_went_are_a_push_like_others() -> None:
    client = joined()

    assert client.receive(BrokersChanged(revision=1, brokers=["h:1"]), 1.0) == [
        BrokersUpdated(["h:1"])
    ]
    assert client.receive(PublishersChanged(revision=2, joined=[PUBLISHER]), 1.0) == [
        PublishersUpdated([PUBLISHER], [])
    ]
    assert client.receive(BrokersChanged(revision=4, brokers=["h:2"]), 1.0) == []
    assert not client.registered


# A broker that does not answer


def test_a_broker_is_silent_when_a_request_has_had_no_answer_for_a_while() -> None:
    client = joined(0.0)
    assert client.silent_at is None
    at = LEASE_S / HEARTBEATS_PER_LEASE
    beat = due_heartbeat(client, at)
    due_heartbeat(client, 2 * at)  # which does not put it off

    assert client.silent_at == at + BROKER_SILENCE_S
    assert not client.is_silent(at + BROKER_SILENCE_S - 0.1)
    assert client.is_silent(at + BROKER_SILENCE_S)
    client.receive(Alive(id=beat.id, epoch=EPOCH, known=True), 9.0)
    assert not client.is_silent(99.0)


def test_a_request_that_was_not_sent_needs_no_answer() -> None:
    client = ClientSession(IDENTITY, 0.0)
    due_register(client, 0.0)
    client.send_failed(0.0)
    assert client.silent_at is None


def test_a_client_that_has_stood_still_has_asked_nothing() -> None:
    client = joined(0.0)
    _, updates = client.tick(10 * LEASE_S)
    assert updates == [BrokerLost(farewell=False)]
    assert not client.is_silent(10 * LEASE_S)


def test_a_client_that_leaves_its_broker_registers_anew_with_its_session() -> None:
    client = joined(0.0)
    due_heartbeat(client, 2.0)
    client.left(3.0)

    assert not client.registered
    assert client.silent_at is None
    assert due_register(client, 3.0).session == SESSION
