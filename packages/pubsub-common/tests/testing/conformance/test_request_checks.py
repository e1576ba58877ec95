from __future__ import annotations

import json
from typing import Any

import pytest

from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.request_checks import (
    ClientChecks,
    read_request,
)

REGISTER: dict[str, Any] = {
    "type": "register",
    "id": 1,
    "versions": [1, 1],
    "role": "subscriber",
    "topics": ["A"],
    "address": "10.0.0.1",
    "clock": "realtime",
}
HEARTBEAT: dict[str, Any] = {"type": "heartbeat", "id": 2, "session": 7}


def said(fields: dict[str, Any], **more: Any) -> list[bytes]:
    return [json.dumps({**fields, **more}).encode()]


def checks(role: Role = "subscriber") -> ClientChecks:
    found = ClientChecks(role, ["A"])
    found.offer(7)
    return found


@pytest.mark.parametrize(
    ("frames", "seen"),
    [
        ([b"", said(HEARTBEAT)[0]], "one of 2 frames"),
        ([b"\xef\xbb\xbf" + said(HEARTBEAT)[0]], "one with it"),
        ([b"{}"], "type"),
        (said(HEARTBEAT, colour="red"), "colour"),
        (said(HEARTBEAT, clock={"offset_ns": 0, "bound_ns": 0, "x": 1}), "clock.x"),
        ([b'{"type":"heartbeat","id":2,"session":7,"id":2}'], "'id' twice"),
        (said(HEARTBEAT, id=1.0), "float"),
        (said(HEARTBEAT, session=2**53), "session"),
    ],
)
def test_what_is_not_as_the_page_says_is_a_failure(
    frames: list[bytes], seen: str
) -> None:
    with pytest.raises(Failed) as failed:
        read_request(frames)
    assert seen in failed.value.seen


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"role": "publisher"}, "role"),
        ({"topics": ["A", "B"]}, "topics of its command line"),
        ({"versions": [2, 3]}, "versions"),
        ({"clock": "sundial"}, "clock"),
        ({"address": "10.0.0.1:5556"}, "a valid address"),
        ({"session": 8}, "session that it was given"),
        ({"strengths": {"A": 1}}, "strengths"),
    ],
)
def test_a_registration_is_checked(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(Failed) as failed:
        checks().check(read_request(said(REGISTER, **fields)))
    assert expected in failed.value.expected


@pytest.mark.parametrize(
    ("role", "fields"),
    [
        ("subscriber", {"session": 8}),
        ("subscriber", {"published": {"A": 1}}),
        ("publisher", {"lost": {"A": 1}}),
        ("subscriber", {"lost": {"B": 1}}),
        (
            "subscriber",
            {"latency": {"count": 1, "p50_ns": 3, "p99_ns": 2, "max_ns": 4}},
        ),
    ],
)
def test_a_heartbeat_is_checked(role: Role, fields: dict[str, Any]) -> None:
    with pytest.raises(Failed):
        checks(role).check(read_request(said(HEARTBEAT, **fields)))


def test_the_session_is_kept_once_it_was_taken() -> None:
    check = checks()
    check.check(read_request(said(REGISTER)))
    check.check(read_request(said(REGISTER)))  # its answer was under way
    check.check(read_request(said(HEARTBEAT)))
    check.check(read_request(said(REGISTER, session=7)))
    with pytest.raises(Failed, match="session 7"):
        check.check(read_request(said(REGISTER)))


def test_another_address_later_is_a_failure() -> None:
    check = checks()
    check.check(read_request(said(REGISTER)))
    with pytest.raises(Failed, match="same address"):
        check.check(read_request(said(REGISTER, address="10.0.0.2")))


def test_losses_of_topics_that_a_wildcard_stands_for_are_its_own() -> None:
    check = ClientChecks("subscriber", ["x/+"])
    check.offer(7)
    check.check(read_request(said(HEARTBEAT, lost={"x/a": 3})))
