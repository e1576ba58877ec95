"""The traces of behavior in ``docs/protocol-vectors.json``, and their runner.

A trace is run step by step: before a step nothing may be due, as every time with an
output has its own step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from pubsub_common.protocol.batches import Batch, encode_batch
from pubsub_common.protocol.events import (
    decode_ready_reply,
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    ready_topic,
)
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
    encode_position,
    encode_recovery_reply,
    position_prefix,
    recovery_topic,
)
from support.protocol_vectors import VECTORS

Json = dict[str, Any]

# The publisher of every event in a trace.
PUBLISHER: Final = "10.0.0.2:5556"
# Events of one time in a trace are within this time.
_INSTANT_S: Final = 1e-9


def traces(role: str) -> list[Json]:
    """Those of a role; each has its ``name``."""
    return [trace for trace in VECTORS["traces"] if trace["role"] == role]


class Runner(Protocol):
    """Runs one trace. Times are seconds."""

    def next_deadline(self) -> float | None:
        """When `take` is due without an input."""

    def take(self, given: Json, now: float) -> list[Json]:
        """Process an input, which may be empty; returns the outputs."""

    def counted(self) -> Json:
        """The values for the comparison at the end of the trace."""


def run(trace: Json, runner: Runner) -> Json:
    """The trace with this runner's outputs and counts."""
    steps = []
    for step in trace["steps"]:
        _wait(runner, step["at"])
        found = {key: step[key] for key in ("at", "in") if key in step}
        out = runner.take(step.get("in", {}), step["at"])
        steps.append({**found, "out": out} if out else found)
    return {**trace, "steps": steps, "counted": runner.counted()}


def _wait(runner: Runner, until: float) -> None:
    while (due := runner.next_deadline()) is not None and due < until - _INSTANT_S:
        out = runner.take({}, due)
        assert not out, f"at {due}, where the trace has no step: {out}"
        assert runner.next_deadline() != due, "it makes no progress"


# Frames


def _event(each: Json) -> bytes:
    return encode_event(
        each["topic"], PUBLISHER, each["session"], each["sequence"], 0, b""
    )


def _batch(each: Json) -> bytes:
    count = each["events"]
    return encode_batch(
        Batch(
            publisher=PUBLISHER,
            session=each["session"],
            sequence=each["sequence"],
            published_ns=0,
            offsets_ns=[0] * count,
            payloads=[b""] * count,
            topic=each["topic"],
        )
    )


def _position(each: Json) -> bytes:
    return encode_position(each["topic"], PUBLISHER, each["session"], each["sequence"])


FRAMES: Final[dict[str, Callable[[Json], bytes]]] = {
    "frame": lambda each: bytes.fromhex(each["bytes"]),
    "event": _event,
    "batch": _batch,
    "position": _position,
}


def ready_answer(each: Json, subscriber: int) -> bytes:
    """A publisher's answer to a ready topic of this subscriber."""
    return encode_ready_reply(
        each["topic"],
        subscriber,
        PUBLISHER,
        each["session"],
        each["sequence"],
        attempt=each.get("attempt", 0),
    )


def recovery_request(each: Json, subscriber: int) -> RecoveryRequest:
    """The request for this purpose."""
    return RecoveryRequest(
        each["topic"],
        each["session"],
        subscriber,
        each["first"],
        each["last"],
        each["attempt"],
    )


def recovery_answer(each: Json, subscriber: int) -> bytes:
    """A publisher's answer to a request of this subscriber."""
    count = each["events"]
    request = recovery_request(each, subscriber)
    return encode_recovery_reply(
        request, PUBLISHER, each["sequence"], [0] * count, [b""] * count
    )


def private_topic(each: Json) -> bytes:
    """The private topic that a trace describes: its kind, and its numbers."""
    [(kind, value)] = each.items()
    match kind:
        case "ready":
            numbers = (value[name] for name in ("subscriber", "topics", "attempt"))
            return ready_topic(value["topic"], *numbers)
        case "recovery":
            return recovery_topic(recovery_request(value, value["subscriber"]))
        case "position":
            return position_prefix(value["topic"])
        case _:
            assert kind == "bytes", kind
            return bytes.fromhex(value)


def read_answer(frame: bytes) -> Json:
    """A publisher's answer, in the form of a trace."""
    position = decode_position(frame)
    if position is not None:
        topic, event = position
        return {"position": {"topic": topic, "sequence": event.sequence}}
    recovered = decode_recovery_reply(frame)
    if recovered is not None:
        request, batch = recovered
        found = {
            "topic": request.topic,
            "session": request.publisher,
            "subscriber": request.subscriber,
            "first": request.first,
            "last": request.last,
            "attempt": request.attempt,
        }
        return {
            "recovery_answer": {
                **found,
                "sequence": batch.sequence,
                "events": len(batch),
            }
        }
    ready = parse_ready_request(frame.partition(b"\0")[0])
    answer = decode_ready_reply(frame)
    assert ready is not None
    assert answer is not None
    return {
        "ready_answer": {
            "topic": ready.topic,
            "subscriber": ready.session,
            "topics": ready.topics,
            "attempt": ready.attempt,
            "sequence": answer[1].sequence,
        }
    }
