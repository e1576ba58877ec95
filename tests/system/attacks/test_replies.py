"""Requests with unread replies, and long reports."""

from __future__ import annotations

import itertools

from support.attack_rows import attack
from support.attack_tools import DISCONNECTED
from support.hostile_system import HostileSystem, check_served
from support.rings import full_size

from pubsub_common.client.status_client import ask
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import ClockRequest, StatusRequest


def long_topics(number: int, count: int = 4000) -> list[str]:
    return [f"{number:03d}-{each:04d}-{'x' * 240}" for each in range(count)]


def keep_long_clients(system: HostileSystem, count: int) -> None:
    """Registers this many clients, each with a megabyte of topics."""
    for number in range(count):
        talker = system.talker()
        talker.registered(system.registration("subscriber", *long_topics(number)))


@attack(
    what="status requests with unread answers, with clients that have megabytes of "
    "topics",
    got="disconnected and named; others waited {wait}, the broker's memory grew by "
    "{memory}",
    bound="`UNREAD_CONNECTION_BYTES`",
)
def test_status_that_is_not_read(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    keep_long_clients(hostile, 4)
    heart = hostile.heart()
    broker.remember_memory()
    heart.figures()
    mute = hostile.talker(rcvhwm=1, rcvbuf=4096)
    for number in range(600 if full_size() else 200):
        mute.socket.send(messages.encode(StatusRequest(id=number)))

    mute.wait_for(DISCONNECTED)
    broker.says("does not read its messages")

    hostile.figures.seconds("wait", check_served(heart))
    hostile.check_budget(broker)
    assert broker.end() == 0


@attack(
    what="the same from many connections, each below its bound",
    got="the oldest disconnected; others waited {wait}, the broker's memory grew by "
    "{memory}",
    bound="`UNREAD_ADDRESS_BYTES`, `UNREAD_TOTAL_BYTES`",
)
def test_status_that_many_do_not_read(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    keep_long_clients(hostile, 4)
    heart = hostile.heart()
    broker.remember_memory()
    heart.figures()
    for _ in range(150 if full_size() else 40):
        mute = hostile.talker(rcvhwm=1, rcvbuf=4096)
        for number in range(3):
            mute.socket.send(messages.encode(StatusRequest(id=number)))

    hostile.figures.seconds("wait", check_served(heart))
    hostile.check_budget(broker)
    assert broker.end() == 0


@attack(
    what="registrations of a subscriber of everything, with unread answers",
    got="disconnected; others waited {wait}, the broker's memory grew by {memory}",
    bound="`UNREAD_CONNECTION_BYTES`",
)
def test_registrations_that_are_not_read(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    for number in range(8):
        publisher = hostile.talker()
        request = hostile.registration(
            "publisher", *long_topics(number, 1000), address=f"127.0.0.1:{number + 10}"
        )
        publisher.registered(request)
    heart = hostile.heart()
    broker.remember_memory()
    heart.figures()
    mute = hostile.talker(rcvhwm=1, rcvbuf=4096)
    for number in range(100 if full_size() else 40):
        request = hostile.registration("subscriber", "#", id=number)
        mute.socket.send(messages.encode(request))

    mute.wait_for(DISCONNECTED)

    hostile.figures.seconds("wait", check_served(heart))
    hostile.check_budget(broker)
    assert broker.end() == 0


@attack(
    what="clock requests with unread answers",
    got="disconnected; others waited {wait}, the broker's memory grew by {memory}",
    bound="1,000 messages a connection",
)
def test_times_that_are_not_read(hostile: HostileSystem) -> None:
    broker = hostile.broker()
    heart = hostile.heart()
    broker.remember_memory()
    heart.figures()
    mute = hostile.talker(rcvhwm=1, rcvbuf=4096, sndhwm=0)
    for number in range(60_000 if full_size() else 30_000):
        mute.socket.send(messages.encode(ClockRequest(id=number, sent_ns=1)))

    # The client has stopped reading, and does not notice by itself.
    broker.says("does not read its messages")

    hostile.figures.seconds("wait", check_served(heart))
    hostile.check_budget(broker)
    assert broker.end() == 0


@attack(
    what="clients with enough topics for a long report",
    got="nothing: it comes in pages; the broker's memory grew by {memory}",
    bound="`STATUS_PAGE_BYTES`",
)
def test_a_long_report_is_whole(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    count = 12
    keep_long_clients(hostile, count)
    heart = hostile.heart()
    broker.remember_memory()

    status = ask("127.0.0.1", hostile.port, 30.0, hostile.keys_of("alice"))

    long = [client for client in status.clients if len(client.topics) == 4000]
    assert len(long) == count
    assert len({client.session for client in status.clients}) == count + 1
    assert status.next_session is None
    check_served(heart)
    hostile.check_budget(broker)
    assert broker.end() == 0


def test_pages_are_asked_for_by_hand(hostile: HostileSystem) -> None:
    hostile.broker("--lease", 300)
    keep_long_clients(hostile, 2)
    talker = hostile.talker()
    sessions: list[int] = []
    start: int | None = 0
    for number in itertools.count(1):
        reply = talker.ask(StatusRequest(id=number, from_session=start))
        assert isinstance(reply, messages.Status)
        sessions += [client.session for client in reply.clients]
        start = reply.next_session
        if start is None:
            break
    assert number == 2
    assert len(sessions) == 2
