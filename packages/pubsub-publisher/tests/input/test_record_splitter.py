"""Streams cut into records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.input.record_splitter import RecordSplitter

BOUNDS = QueueBounds()
BYTES = st.text("ab\n\r\0", max_size=30).map(str.encode)


def cut(
    parts: list[bytes], mark: bytes = b"\n", bounds: QueueBounds = BOUNDS
) -> list[bytes]:
    splitter = RecordSplitter(mark, bounds)
    return [
        record for part in parts for record in splitter.push(part)
    ] + splitter.finish()


@given(st.lists(BYTES), st.sampled_from([b"\n", b"\0"]))
def test_however_a_stream_comes_its_records_are_the_same(
    parts: list[bytes], mark: bytes
) -> None:
    whole = b"".join(parts)
    expected = whole.split(mark)
    if not expected[-1]:
        expected.pop()

    assert cut(parts, mark) == expected


@given(st.lists(BYTES.map(lambda line: line.replace(b"\n", b""))))
def test_a_record_is_given_as_soon_as_its_mark_has_come(texts: list[bytes]) -> None:
    splitter = RecordSplitter(b"\n", QueueBounds())

    assert [splitter.push(text + b"\n") for text in texts] == [[text] for text in texts]
    assert splitter.finish() == []


def test_a_line_that_an_event_cannot_carry_is_refused_before_it_fills_the_memory() -> (
    None
):
    bounds = QueueBounds(payload_bytes=10)

    assert cut([b"12345", b"67890", b"\n12345678901\n"], bounds=bounds) == [
        b"1234567890",
        b"12345678901",
    ]
    with pytest.raises(ConfigError, match=r"11 bytes is too large.* is 10"):
        cut([b"12345", b"678901"], bounds=bounds)
