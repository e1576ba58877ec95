"""Waiting for subscribers, without a socket."""

from __future__ import annotations

import threading

import pytest

from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.events import ReadyRequest
from pubsub_publisher.subscriptions.ready_subscribers import Audience

LONG_S = 30.0


def never() -> bool:
    return False


def test_who_is_there_need_not_be_waited_for() -> None:
    audience = Audience(["A"])
    audience.hear(ReadyRequest("A", 9, 1), begins=True)

    audience.wait(1, 0.0, never)
    audience.wait(0, 0.0, never)


def test_who_waits_is_woken_by_the_last_one_that_it_needs() -> None:
    audience = Audience(["A"])
    waiting = threading.Thread(target=audience.wait, args=(2, None, never))
    waiting.start()
    audience.hear(ReadyRequest("A", 1, 1), begins=True)
    assert waiting.is_alive()

    audience.hear(ReadyRequest("A", 2, 1), begins=True)

    waiting.join(LONG_S)
    assert not waiting.is_alive()


def test_it_is_said_how_many_were_there_in_time() -> None:
    audience = Audience(["A"])
    audience.hear(ReadyRequest("A", 1, 1), begins=True)

    with pytest.raises(NotReady, match="1 of 2 subscribers are ready"):
        audience.wait(2, 0.01, never)


def test_the_end_ends_the_wait_however_long_it_may_be() -> None:
    ended = iter([False, True])

    with pytest.raises(NotReady, match="0 of 1"):
        Audience(["A"]).wait(1, None, lambda: next(ended))


def test_an_error_ends_the_wait() -> None:
    def refused() -> bool:
        raise PubSubError("refused")

    with pytest.raises(PubSubError, match="refused"):
        Audience(["A"]).wait(1, LONG_S, refused)


def test_topics_of_others_alone_make_nobody_ready() -> None:
    audience = Audience(["A"])

    audience.hear(ReadyRequest("B", 9, 1), begins=True)

    assert not audience.subscribers
