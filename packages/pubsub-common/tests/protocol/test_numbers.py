"""Numbers on the wire: their bounds, and sums that stay within them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages, numbers
from pubsub_common.protocol.batches import decode_batch_body, encode_batch_body
from pubsub_common.protocol.sequence import Counts

COUNTS = st.integers(0, numbers.LARGEST)


@given(COUNTS, COUNTS)
def test_a_sum_of_two_numbers_is_one_that_the_wire_takes(one: int, two: int) -> None:
    assert numbers.add(one, two) == min(one + two, numbers.LARGEST)


@given(st.lists(COUNTS, max_size=5))
def test_a_sum_of_many_numbers_is_one_that_the_wire_takes(many: list[int]) -> None:
    assert numbers.total(iter(many)) == min(sum(many), numbers.LARGEST)


def test_counts_of_many_streams_stay_within_the_bound() -> None:
    counts = Counts()
    for _ in range(3):
        counts.add(Counts(received=numbers.LARGEST, lost=numbers.LARGEST))

    assert (counts.received, counts.lost) == (numbers.LARGEST, numbers.LARGEST)


def test_a_batch_whose_last_number_is_the_largest_is_one() -> None:
    body = encode_batch_body("p", 1, numbers.LARGEST - 1, [1, 2], [b"x", b"y"])
    assert decode_batch_body(body).sequence == numbers.LARGEST - 1


def test_a_batch_that_counts_beyond_the_bound_is_none() -> None:
    body = encode_batch_body("p", 1, numbers.LARGEST, [1, 2], [b"x", b"y"])
    with pytest.raises(ProtocolError):
        decode_batch_body(body)


def _numbers_in(value: Any) -> list[type]:
    """Plain numbers among the types that a message is made of."""
    if value.__class__.__name__ in ("IntType", "FloatType"):
        bounded = value.ge is not None or value.gt is not None
        return [] if bounded and (value.le, value.lt) != (None, None) else [value]
    found = []
    for part in ("fields", "types"):
        for each in getattr(value, part, ()):
            found += _numbers_in(getattr(each, "type", each))
    for part in ("item_type", "key_type", "value_type"):
        each = getattr(value, part, None)
        if each is not None and not isinstance(each, type):
            found += _numbers_in(each)
    return found


def _fields(message: type) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(message)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def test_each_number_of_each_control_message_is_bounded() -> None:
    # But waiting times of the client, which are nothing else, and the id,
    # which is repeated exactly.
    unbounded = {
        f"{message.__name__}.{field.name}"
        for kinds in (messages.Request, messages.Reply)
        for message in kinds.__args__
        for field in _fields(message)
        if field.name != "id" and _numbers_in(field.type)
    }
    assert unbounded == {"Registered.lease_s", "Registered.owner_idle_s"}
