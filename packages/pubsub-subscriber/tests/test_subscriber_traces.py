"""A subscriber's core behaves as the traces of the protocol say."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from support.fake_sub_socket import FakeSubSocket
from support.protocol_traces import (
    FRAMES,
    ready_answer,
    recovery_answer,
    run,
    traces,
)

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol import messages
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.recovery_messages import parse_recovery_request
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.effects import (
    Connect,
    Deliver,
    Disconnect,
    Effect,
    Listen,
    Lost,
    Request,
    Subscribe,
    Unsubscribe,
    Withdraw,
)

SUBSCRIBER = 9


class SubscriberRunner:
    """``given`` are the topics, and options of recovery."""

    def __init__(self, given: dict[str, Any]) -> None:
        recovers = given.get("recovers", False)
        self._core = SubscriberCore(
            given["topics"],
            recover_timeout_s=10.0 if recovers else None,
            max_held=1000,
            from_start=given.get("from_start", False),
        )
        self._core.use_session(SUBSCRIBER)
        self._connection = FakeSubSocket(0, [])
        # Open connections and subscriptions, each of which is made once.
        self._begun: set[tuple[str, str]] = set()

    def next_deadline(self) -> float | None:
        return self._core.next_deadline()

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        effects: list[Effect] = []
        for kind, value in given.items():
            effects += self._input(kind, value, now)
        effects += self._core.tick(now, idle=True)
        return [each for each in written(effects) if self._is_news(each)]

    def _is_news(self, out: dict[str, Any]) -> bool:
        [(kind, value)] = out.items()
        before = set(self._begun)
        match kind:
            case "subscribe" | "connect":
                self._begun.add((kind, value))
            case "unsubscribe":
                self._begun.discard(("subscribe", value))
            case "disconnect":
                self._begun.discard(("connect", value))
            case _:
                return True
        return before != self._begun

    def _input(self, kind: str, value: dict[str, Any], now: float) -> list[Effect]:
        if kind == "message":
            return self._message(value, now)
        if kind == "ready":
            frame = ready_answer(value, SUBSCRIBER)
        elif kind == "recovered":
            frame = recovery_answer(value, SUBSCRIBER)
        else:
            frame = FRAMES[kind](value)
        return self._core.receive(frame, self._connection, 0, now)

    def _message(self, value: dict[str, Any], now: float) -> list[Effect]:
        message = messages.decode_reply(msgspec.json.encode(value))
        if isinstance(message, messages.Registered):
            return self._core.register(message, now)
        assert isinstance(message, messages.PublishersChanged)
        update = PublishersUpdated(message.joined, message.left, message.ports)
        return self._core.change_publishers(update, now)

    def counted(self) -> dict[str, Any]:
        counts = self._core.streams.counts()
        return {
            "received": counts.received,
            "lost": counts.lost,
            "duplicates": counts.duplicated,
            "late": counts.reordered,
            "recovered": counts.recovered,
            "malformed": self._core.malformed_count,
            "unanswered": self._core.streams.ready.awaited(),
        }


def written(effects: Iterable[Effect]) -> Iterable[dict[str, Any]]:
    """The outputs in the form of a trace, without texts for people."""
    for effect in effects:
        match effect:
            case Deliver(events):
                yield from delivered(events)
            case Lost(gap):
                yield {
                    "lost": {
                        "topic": gap.topic,
                        "session": gap.session,
                        "first": gap.first,
                        "last": gap.last,
                    }
                }
            case Request(_, _, raw):
                yield {"ask": question(raw)}
            case Withdraw(_, _, raw):
                yield {"take_back": question(raw)}
            case Connect(publisher):
                yield {"connect": publisher.address}
            case Disconnect(publisher, False):
                yield {"disconnect": publisher.address}
            case Subscribe(topics):
                yield from ({"subscribe": topic} for topic in topics)
            case Unsubscribe(topic):
                yield {"unsubscribe": topic}
            case Listen(ports, _):
                yield {"listen": dict(ports)}


def delivered(events: Sequence[Event]) -> Iterable[dict[str, Any]]:
    """Events, those of one stream together."""
    for (topic, session), group in itertools.groupby(
        events, lambda event: (event.topic, event.session)
    ):
        sequences = [event.sequence for event in group]
        yield {"deliver": {"topic": topic, "session": session, "sequences": sequences}}


def question(raw: bytes) -> dict[str, Any]:
    """A recovery topic."""
    request = parse_recovery_request(raw)
    assert request is not None
    return {
        "topic": request.topic,
        "session": request.publisher,
        "first": request.first,
        "last": request.last,
        "attempt": request.attempt,
    }


@pytest.mark.parametrize("trace", traces("subscriber"), ids=lambda each: each["name"])
def test_a_subscriber_behaves_as_the_trace_says(trace: dict[str, Any]) -> None:
    assert run(trace, SubscriberRunner(trace["given"])) == trace
