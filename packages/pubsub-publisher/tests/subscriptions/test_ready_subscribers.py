"""Waiting for subscribers, without a socket."""

from __future__ import annotations

import threading

import pytest

from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.events import ReadyRequest
from pubsub_publisher.subscriptions.ready_subscribers import ReadySubscribers

LONG_S = 30.0


def never() -> bool:
    return False


def test_a_ready_subscriber_is_not_waited_for() -> None:
    ready_subscribers = ReadySubscribers(["A"])
    ready_subscribers.update(ReadyRequest("A", 9, 1), begins=True)

    ready_subscribers.wait(1, 0.0, never)
    ready_subscribers.wait(0, 0.0, never)


def test_a_wait_ends_with_the_last_subscriber_it_needs() -> None:
    ready_subscribers = ReadySubscribers(["A"])
    waiting = threading.Thread(target=ready_subscribers.wait, args=(2, None, never))
    waiting.start()
    ready_subscribers.update(ReadyRequest("A", 1, 1), begins=True)
    assert waiting.is_alive()

    ready_subscribers.update(ReadyRequest("A", 2, 1), begins=True)

    waiting.join(LONG_S)
    assert not waiting.is_alive()


def test_it_is_said_how_many_were_there_in_time() -> None:
    ready_subscribers = ReadySubscribers(["A"])
    ready_subscribers.update(ReadyRequest("A", 1, 1), begins=True)

    with pytest.raises(NotReady, match="1 of 2 subscribers are ready"):
        ready_subscribers.wait(2, 0.01, never)


def test_the_end_ends_the_wait_however_long_it_may_be() -> None:
    ended = iter([False, True])

    with pytest.raises(NotReady, match="0 of 1"):
        ReadySubscribers(["A"]).wait(1, None, lambda: next(ended))


def test_an_error_ends_the_wait() -> None:
    def refused() -> bool:
        raise PubSubError("refused")

    with pytest.raises(PubSubError, match="refused"):
        ReadySubscribers(["A"]).wait(1, LONG_S, refused)


def test_topics_of_others_alone_make_nobody_ready() -> None:
    ready_subscribers = ReadySubscribers(["A"])

    ready_subscribers.update(ReadyRequest("B", 9, 1), begins=True)

    assert not ready_subscribers.subscribers
