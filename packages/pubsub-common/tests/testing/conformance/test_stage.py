"""What a client that registers again is held responsible for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pubsub_common.protocol.messages import Heartbeat, Register, Request
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.stage import Stage

REGISTER = Register(
    id=1,
    versions=(1, 1),
    role="subscriber",
    topics=["A"],
    address="127.0.0.1",
    clock="monotonic",
)
HEARTBEAT = Heartbeat(id=2, session=1)
ON_TIME = [(1.3, HEARTBEAT), (1.6, HEARTBEAT), (1.9, HEARTBEAT)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A broker has a client since the time 1, with a lease of 1 s."""
    with Stage("subscriber", ["unused"], 10.0, page.STATES) as stage:
        stage.broker.requests.append((1.0, REGISTER))
        yield stage


def sends(
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    *turns: Sequence[tuple[float, Request]],
) -> None:
    """The client sends these, in this many turns of waiting for three heartbeats."""
    left = iter(turns)
    monkeypatch.setattr(
        stage, "heartbeats", lambda _: stage.broker.requests.extend(next(left))
    )


def test_heartbeats_alone_are_as_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(monkeypatch, stage, [*ON_TIME])
    stage.goes_on("heartbeats alone")


def test_another_registration_without_a_cause_is_a_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(monkeypatch, stage, [*ON_TIME, (2.0, REGISTER)])
    with pytest.raises(Failed, match="another `register`"):
        stage.goes_on("heartbeats alone")


def test_another_registration_after_messages_were_held_up_is_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_up: list[tuple[float, Request]] = [
        (1.3, HEARTBEAT),
        (2.3, HEARTBEAT),
        (2.3, REGISTER),
    ]
    sends(monkeypatch, stage, held_up, [(2.6, HEARTBEAT)] * 3)
    stage.goes_on("heartbeats alone")


def test_after_that_it_has_to_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_up: list[tuple[float, Request]] = [(1.3, HEARTBEAT), (2.3, REGISTER)]
    sends(monkeypatch, stage, held_up, [(2.6, HEARTBEAT), (2.7, REGISTER)])
    with pytest.raises(Failed, match="another `register`"):
        stage.goes_on("heartbeats alone")
