"""A publisher's core behaves as the traces of the protocol say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from support.protocol_traces import (
    PUBLISHER,
    private_topic,
    read_answer,
    run,
    traces,
)

from pubsub_common.client.session_updates import Accepted
from pubsub_common.protocol import messages
from pubsub_publisher.core import EndConnection, PublisherCore, Send
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_state import TopicState

PEER = "the connection that everything comes by"


class PublisherRunner:
    """``given`` are the topics, and how many events of each are kept."""

    def __init__(self, given: dict[str, Any]) -> None:
        kept = given.get("keeps", 0)
        self._topics = {
            name: TopicState(name, History(kept, 2**20) if kept else None)
            for name in given["topics"]
        }
        self._core = PublisherCore(self._topics)
        self._core.address = PUBLISHER

    def next_deadline(self) -> float | None:
        return self._core.next_deadline()

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        for kind, value in given.items():
            self._input(kind, value, now)
        questions = self._core.questions
        if self._core.session >= 0:
            for origin in questions.next_origins(now):
                questions.progress(origin, 0, now, whole=True)
        return list(written(self._core.tick(now)))

    def _input(self, kind: str, value: Any, now: float) -> None:
        match kind:
            case "message":
                reply = messages.decode_reply(msgspec.json.encode(value))
                assert isinstance(reply, messages.Registered)
                self._core.update(Accepted(reply, again=self._core.session >= 0))
            case "subscribed":
                self._core.receive(b"\1" + private_topic(value), now, PEER)
            case "ended":
                self._core.receive(b"\0" + private_topic(value), now, PEER)
            case _:
                assert kind == "published", kind
                topic = self._topics[value["topic"]]
                events = [(0, b"")] * value["events"]
                topic.commit(topic.next_sequence, events)

    def counted(self) -> dict[str, Any]:
        return {"ready": sorted(self._core.ready.sessions)}


def written(effects: Iterable[Send | EndConnection]) -> Iterable[dict[str, Any]]:
    for effect in effects:
        assert isinstance(effect, Send)
        yield read_answer(effect.frame)


@pytest.mark.parametrize("trace", traces("publisher"), ids=lambda each: each["name"])
def test_a_publisher_behaves_as_the_trace_says(trace: dict[str, Any]) -> None:
    assert run(trace, PublisherRunner(trace["given"])) == trace
