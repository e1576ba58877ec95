"""A client chooses one of several brokers as the traces of the protocol say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from support.protocol_traces import run, traces

from pubsub_common.client.broker_choice import Ask, BrokerChoice, Drop, Step, Take


class ChoiceRunner:
    """``given`` are the brokers that the user has named."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._choice = BrokerChoice(given["named"], random.Random(0))
        self._taken: str | None = None

    def next_deadline(self) -> float | None:
        return self._choice.next_deadline()

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        for kind, value in given.items():
            self._input(kind, value, now)
        return list(self._written(self._choice.tick(now)))

    def _input(self, kind: str, value: Any, now: float) -> None:
        match kind:
            case "left":
                self._choice.begin(now, left=value)
            case "wants_better_than":
                self._choice.begin(now, stays_at=value)
            case "told":
                self._choice.learn(value)
            case "connected":
                self._choice.reached(value, now)
            case "unreachable":
                self._choice.failed(value, now)
            case _:
                assert kind == "hello_reply", kind
                cut_off = value.get("cut_off", False)
                self._choice.heard(
                    value["from"], value["clients"], now, cut_off=cut_off
                )

    def _written(self, steps: Iterable[Step]) -> Iterable[dict[str, Any]]:
        # Two are asked at once, in any order.
        for step in sorted(steps, key=lambda each: isinstance(each, Take)):
            match step:
                case Ask(broker):
                    yield {"hello": broker}
                case Drop(broker):
                    yield {"close": broker}
                case Take(broker):
                    self._taken = broker
                    yield {"register": broker}

    def counted(self) -> dict[str, Any]:
        return {"taken": self._taken, "searching": self._choice.searching}


def in_any_order(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages of one time have no order."""
    return [
        {**step, "out": sorted(step["out"], key=str)} if "out" in step else step
        for step in steps
    ]


@pytest.mark.parametrize("trace", traces("choice"), ids=lambda each: each["name"])
def test_a_client_chooses_as_the_trace_says(trace: dict[str, Any]) -> None:
    found = run(trace, ChoiceRunner(trace["given"]))
    assert in_any_order(found["steps"]) == in_any_order(trace["steps"])
    assert found["counted"] == trace["counted"]
