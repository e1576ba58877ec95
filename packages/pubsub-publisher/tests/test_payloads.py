"""What may be published."""

from __future__ import annotations

import array
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from support.raw_sockets import RawSubscriber

from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import WAIT_S
from pubsub_publisher import Publisher
from pubsub_publisher.payloads import bytes_payload, json_payload


class Mine(bytes):
    """A kind of bytes."""


@pytest.mark.parametrize(
    "payload",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"abcd"),
        memoryview(b"a.b.c.d.")[::2],
        array.array("B", b"abcd"),
        Mine(b"abcd"),
    ],
)
def test_any_bytes_like_object_is_a_payload(
    new_publisher: Callable[..., Publisher],
    subscribe: Callable[..., RawSubscriber],
    payload: Any,
) -> None:
    assert type(bytes_payload(payload, QueueBounds())) is bytes
    publisher = new_publisher("A")
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)

    publisher.publish_event("A", payload)
    publisher.publish_events([payload])
    publisher.publish_events(iter([("A", payload), ("A", payload)]))

    assert [event.payload for event in subscriber.events(4)] == [b"abcd"] * 4


@pytest.mark.parametrize("payload", [None, 5, ["x"], object(), "\udcff"])
def test_what_is_none_is_named(
    new_publisher: Callable[..., Publisher], payload: Any
) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match="the payload is"):
        publisher.publish_event("A", payload)


@dataclasses.dataclass
class Reading:
    value: float


@pytest.mark.parametrize(
    "value", [math.nan, [1, -math.inf], {"a": math.inf}, Reading(math.nan), "\udcff"]
)
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        json_payload(value)


@pytest.mark.parametrize("value", [None, [None, 1.5], "null", {"a": None}])
def test_null_is_json(value: object) -> None:
    assert b"null" in json_payload(value)
