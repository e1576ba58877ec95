"""The messages of clients at their end about topics without other clients."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from support.documents import PROGRAMS

from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

WAIT_S = 60.0


def said(*words: str) -> str:
    """The standard error of a program."""
    done = subprocess.run(
        [PROGRAMS / words[0], *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WAIT_S,
    )
    return done.stderr


def test_a_misspelled_topic_is_named_with_a_similar_one(
    broker_process: Callable[..., Any],
) -> None:
    port = broker_process().port
    place = ["-b", f"127.0.0.1:{port}"]
    with (
        Publisher(broker_port=port, topics=["weather"], bind_port=0),
        Subscriber(broker_port=port, topics=["weather"]),
    ):
        subscriber = said(
            "pubsub-subscriber", *place, "-t", "wether", "--timeout", "1", "-q"
        )
        publisher = said(
            "pubsub-publisher", *place, "-t", "Weather", "-l", "x", "--bind-port", "0"
        )

    assert subscriber == (
        "pubsub-subscriber: no event came within 1 s: no publisher of wether is "
        "connected; did you mean weather?\n"
    )
    assert "Weather (did you mean weather?)" in publisher
