"""Requests of subscribers to publishers, with unread answers."""

from __future__ import annotations

from support.attack_rows import attack
from support.hostile_system import BUDGET_MIB, HonestClients, HostileSystem
from support.rings import full_size
from support.running_roles import WAIT_S

from pubsub_common.protocol.events import ATTEMPTS, ready_topic
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    recovery_topic,
)
from pubsub_common.testing import wait_for

BEGINS = b"\x01"
KEPT, SIZE = 1500, 1000


def wait_received(subscribers: HonestClients, count: int) -> None:
    """The honest subscriber receives this many more events."""
    received = subscribers.figures()["received"] + count
    wait_for(
        lambda: subscribers.figures()["received"] >= received,
        "events for the honest subscriber",
        WAIT_S,
    )


def measured(hostile: HostileSystem, *processes: HonestClients) -> None:
    """The memory of the publisher, and its longest call since the last figures."""
    (publishers,) = processes
    hostile.figures.mib("memory", publishers.grown_mib())
    hostile.figures.seconds("call", publishers.figures()["longest_call_s"])


@attack(
    what="requests for missed events, with unread answers",
    got="the publisher's memory grows by {memory}, its longest call takes {call}, and an "
    "honest subscriber loses nothing",
    bound="`ANSWER_BYTES`",
)
def test_recovery_questions_whose_answers_are_not_read(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    publishers = hostile.publishers("A", rate=500, payload=SIZE, history=2 * KEPT)
    subscribers = hostile.subscribers("A", recover=True)
    wait_received(subscribers, KEPT)
    session = publishers.clients[0]["session"]
    port, key = hostile.data_port(publishers)
    mallory = hostile.subscriber_at(port, key, rcvhwm=1, rcvbuf=4096, sndhwm=0)
    for process in (broker, publishers):
        process.remember_memory()
    publishers.figures()

    for number in range(9000 if full_size() else 2000):
        question = RecoveryRequest("A", session, number, 0, KEPT - 1, number % ATTEMPTS)
        mallory.socket.send(BEGINS + recovery_topic(question))
    wait_received(subscribers, 2500 if full_size() else 1000)

    measured(hostile, publishers)
    assert publishers.grown_mib() < BUDGET_MIB
    assert broker.grown_mib() < BUDGET_MIB
    assert subscribers.figures()["lost"] == 0
    assert broker.end() == 0


@attack(
    what="ready topics of invented subscribers",
    got="the publisher's memory grows by {memory}, its longest call takes {call}, and an "
    "honest subscriber loses nothing",
    bound="`QUESTIONS_BYTES`, `READY_BYTES`",
)
def test_ready_topics_of_subscribers_that_do_not_exist(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    publishers = hostile.publishers("A", rate=500)
    subscribers = hostile.subscribers("A", recover=True)
    wait_received(subscribers, 10)
    port, key = hostile.data_port(publishers)
    mallory = hostile.subscriber_at(port, key, rcvhwm=1, rcvbuf=4096, sndhwm=0)
    for process in (broker, publishers):
        process.remember_memory()
    publishers.figures()

    for number in range(200_000 if full_size() else 10_000):
        mallory.socket.send(BEGINS + ready_topic("A", number))
    wait_received(subscribers, 2500 if full_size() else 1000)

    measured(hostile, publishers)
    assert publishers.grown_mib() < BUDGET_MIB
    assert broker.grown_mib() < BUDGET_MIB
    assert subscribers.figures()["lost"] == 0
    assert broker.end() == 0
