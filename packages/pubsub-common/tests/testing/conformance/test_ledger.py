from __future__ import annotations

import json

import pytest

from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.ledger import Item, Ledger, read_line


def item(sequence: int, payload: bytes = b"x") -> Item:
    return Item("A", "10.0.0.1:5556", sequence, payload)


def ledger(*sequences: int) -> Ledger:
    found = Ledger()
    for sequence in sequences:
        found.must_have(item(sequence))
    return found


def test_what_is_delivered_is_due_no_more() -> None:
    book = ledger(0, 1)
    book.deliver(item(0), "events")
    assert book.due == [item(1)]
    book.deliver(item(1), "events")
    assert not book.due


def test_an_event_twice_is_a_failure() -> None:
    book = ledger(0)
    book.deliver(item(0), "events")
    with pytest.raises(Failed, match="twice"):
        book.deliver(item(0), "events")


def test_an_event_that_nobody_sent_is_a_failure() -> None:
    with pytest.raises(Failed, match="only events that are"):
        ledger(0).deliver(item(0, b"another payload"), "events")


def test_events_out_of_their_order_are_a_failure_unless_any_order_will_do() -> None:
    book = ledger(0, 1, 2)
    book.deliver(item(1), "events")
    with pytest.raises(Failed, match="in their order"):
        book.deliver(item(0), "events")
    book.any_order = True
    book.deliver(item(0), "events")


def test_what_may_be_missed_is_not_due() -> None:
    book = ledger(0)
    book.may_have(item(1))
    book.deliver(item(1), "events")
    assert book.missing() == f"1 of them, the first {item(0)}"


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({"payload": "é"}, "é".encode()),
        ({"payload_base64": "AP8="}, b"\0\xff"),
        ({"payload": "", "size": 0}, b""),
    ],
)
def test_a_line_is_an_event(fields: dict[str, object], payload: bytes) -> None:
    line = {"topic": "A", "publisher": "10.0.0.1:5556", "sequence": 7, **fields}
    assert read_line(json.dumps(line).encode()) == item(7, payload)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"[]", b"7", b"not JSON", b'{"topic":"A"}', b"\xff"),
        b'{"topic":"A","publisher":"p","sequence":7.0,"payload":""}',
        b'{"topic":"A","publisher":"p","sequence":true,"payload":""}',
        b'{"topic":"A","publisher":"p","sequence":"7","payload":""}',
        b'{"topic":"A","publisher":"p","sequence":7,"payload":null}',
        b'{"topic":"A","publisher":"p","sequence":7,"payload_base64":"*"}',
    ],
)
def test_other_lines_are_a_failure(line: bytes) -> None:
    with pytest.raises(Failed, match="lines of JSON"):
        read_line(line)
