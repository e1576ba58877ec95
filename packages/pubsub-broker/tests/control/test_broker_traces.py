"""A broker's core behaves like the traces of the protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from support.protocol_traces import run, traces

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol import messages


class BrokerRunner:
    """``given`` is the broker's configuration. The sessions that it assigns are 1, 2, …"""

    def __init__(self, given: dict[str, Any]) -> None:
        sessions = itertools.count(1)
        self._ports: dict[str, int] = given.get("ports", {})
        self._lost: set[bytes] = set()
        lease_s = given["lease_s"]
        self._core = BrokerCore(
            given["model"],
            MemoryRegistry(),
            epoch=given["epoch"],
            lease_s=lease_s,
            new_session=lambda: next(sessions),
            ports=self._ports_of,
            is_lost=self._lost.__contains__,
        )

    def _ports_of(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: self._ports[topic] for topic in topics}

    def next_deadline(self) -> float | None:
        return self._core.next_deadline()

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        effects = self._core.tick(now)
        if "connection_lost" in given:
            self._lost.add(given["connection_lost"].encode())
        if "message" in given:
            data = msgspec.json.encode(given["message"])
            effects += self._core.receive(given["from"].encode(), data, now)
        if "ends" in given:
            effects += self._core.farewell()
        return list(written(effects))

    def counted(self) -> dict[str, Any]:
        return {"clients": self._core.client_count}


def written(effects: Iterable[Effect]) -> Iterable[dict[str, Any]]:
    """Messages to peers."""
    for effect in effects:
        if isinstance(effect, Send):
            message = msgspec.json.decode(messages.encode(effect.message))
            message.pop("demand", None)  # it depends on limits
            message.pop("detail", None)  # it is for people
            yield {"to": effect.peer.decode(), "message": message}


@pytest.mark.parametrize("trace", traces("broker"), ids=lambda each: each["name"])
def test_a_broker_behaves_as_the_trace_says(trace: dict[str, Any]) -> None:
    assert run(trace, BrokerRunner(trace["given"])) == trace
