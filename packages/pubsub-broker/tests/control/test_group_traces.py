"""The cores of a group behave like the traces of the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from support.core_group import CoreGroup, CoreOfGroup
from support.protocol_traces import run, traces

from pubsub_common.protocol import messages

# The interval in which brokers renew their leases in the registry, and learn of expired
# ones.
_TURN_S = 0.5


class GroupRunner:
    """``given`` is the configuration of the brokers: ``epochs``, by name. Sessions are
    1, 2, …"""

    def __init__(self, given: dict[str, Any]) -> None:
        self._group = CoreGroup(given["model"], len(given["epochs"]))
        self._brokers = dict(zip(given["epochs"], self._group.brokers, strict=True))
        for broker, epoch in zip(
            self._brokers.values(), given["epochs"].values(), strict=True
        ):
            assert broker.epoch == epoch
            broker.sent.clear()

    def next_deadline(self) -> float | None:
        now = self._group.now
        dues = [now + _TURN_S]
        for broker in self._live().values():
            due = broker.core.next_deadline()
            dues += [] if due is None or due <= now else [due]
        return min(dues)

    def _live(self) -> dict[str, CoreOfGroup]:
        return {name: each for name, each in self._brokers.items() if each.alive}

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        self._group.now = now
        if "message" in given:
            broker = self._brokers[given["to"]]
            data = msgspec.json.encode(given["message"])
            broker.perform(broker.core.receive(given["from"].encode(), data, now))
        if "cut_off" in given:
            self._brokers[given["cut_off"]].member.reachable = False
        if "gone" in given:
            self._brokers[given["gone"]].alive = False
        if "ends" in given:
            broker = self._brokers[given["ends"]]
            broker.perform(broker.core.farewell())
            self._group.log.end(broker.name)
            broker.alive = False
        self._group.settle()
        return [each for name in self._brokers for each in self._said(name)]

    def _said(self, name: str) -> Iterable[dict[str, Any]]:
        broker = self._brokers[name]
        for peer, reply in broker.sent:
            message = msgspec.json.decode(messages.encode(reply))
            message.pop("demand", None)  # it depends on limits
            message.pop("detail", None)  # it is for people
            yield {"by": name, "to": peer.decode(), "message": message}
        broker.sent.clear()

    def counted(self) -> dict[str, Any]:
        return {
            name: sorted(session for session in broker.clients())
            for name, broker in self._live().items()
        }


@pytest.mark.parametrize("trace", traces("group"), ids=lambda each: each["name"])
def test_brokers_of_a_group_behave_as_the_trace_says(trace: dict[str, Any]) -> None:
    assert run(trace, GroupRunner(trace["given"])) == trace
