"""The answer to a watch, split into any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.registry.etcd import stream_lines
from pubsub_broker.registry.etcd.errors import Compacted, EtcdRefused
from pubsub_broker.registry.etcd.stream_lines import StreamLines

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


@given(
    st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" "))),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_lines_are_the_same_however_they_come(
    lines: list[bytes], cuts: list[int]
) -> None:
    whole = HEAD + b"".join(line + b"\n" for line in lines) + b"rest"
    stream = StreamLines()
    found = []
    at = 0
    for cut in [*sorted(cuts), len(whole)]:
        found += stream.feed(whole[at:cut])
        at = max(at, min(cut, len(whole)))
    assert found == [line for line in lines if line.strip()]
    assert stream.rest == b"rest"


def test_an_answer_that_is_a_failure_is_kept_whole() -> None:
    stream = StreamLines()
    assert stream.feed(b"HTTP/1.0 400 Bad Request\r\n\r\n{\n") == []
    assert stream.feed(b"}\n") == []
    assert (stream.status, stream.rest) == (400, b"{\n}\n")


@pytest.mark.parametrize("said", [b"SSH-2.0\r\n\r\n", b"\r\n\r\n", b"x" * 100_000])
def test_what_is_not_http_is_refused(said: bytes) -> None:
    with pytest.raises(EtcdRefused):
        StreamLines().feed(said)


def test_a_line_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_lines, "MAX_LINE_BYTES", 100)
    stream = StreamLines()
    assert stream.feed(HEAD + b"x" * 100) == []
    with pytest.raises(Compacted, match="more than 100 bytes"):
        stream.feed(b"x")
