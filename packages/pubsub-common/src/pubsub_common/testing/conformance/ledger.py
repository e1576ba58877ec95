"""The events that were published for a subscriber, and those that it reported."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, NamedTuple

from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed

# Where a finding says what an event holds.
_SHOWN_BYTES: Final = 40


class Item(NamedTuple):
    """An event."""

    topic: str
    publisher: str
    sequence: int
    payload: bytes

    def __str__(self) -> str:
        shown = repr(self.payload[:_SHOWN_BYTES])
        return f"{self.topic!r} {self.sequence} of {self.publisher} ({shown})"


def read_line(line: bytes) -> Item:
    """The event in a line of a subscriber's output.

    Raises:
        Failed: the line is not an object with the needed fields.
    """
    expected = (
        "lines of JSON on standard output with `topic`, `publisher`, `sequence`, and "
        "`payload` or `payload_base64`"
    )
    try:
        found: dict[str, Any] = json.loads(line)
        if "payload_base64" in found:
            payload = base64.b64decode(found["payload_base64"], validate=True)
        else:
            payload = found["payload"].encode()
        item = Item(found["topic"], found["publisher"], found["sequence"], payload)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        item = None
    if item is None or [type(part) for part in item[:3]] != [str, str, int]:
        seen = line[:200].decode(errors="backslashreplace")
        raise Failed(expected, seen, page.EVENTS)
    return item


class Ledger:
    """Each event must be delivered once, in the order of its stream, unless it `may_miss`."""

    def __init__(self) -> None:
        self.delivered: list[Item] = []
        self._due: dict[Item, None] = {}
        self._optional: set[Item] = set()
        self._got: set[Item] = set()
        self._last: dict[tuple[str, str], int] = {}
        self.any_order = False

    def must_have(self, item: Item) -> None:
        """The subscriber is to deliver this."""
        self._due[item] = None

    def may_have(self, item: Item) -> None:
        """The subscriber may deliver this, or not."""
        self._optional.add(item)

    def may_miss(self, item: Item) -> None:
        """The subscriber need not deliver this any more."""
        self._due.pop(item, None)
        self._optional.add(item)

    @property
    def due(self) -> list[Item]:
        """Events that the subscriber must still deliver."""
        return list(self._due)

    def deliver(self, item: Item, section: str) -> None:
        """The subscriber delivered this.

        Raises:
            Failed: it must not.
        """
        self.delivered.append(item)
        if item in self._got:
            raise Failed("each event once", f"{item} twice", section)
        stream = item.topic, item.publisher
        last = self._last.get(stream, -1)
        known = item in self._due or item in self._optional
        if not known:
            raise Failed(
                "only events that are the subscriber's to deliver", f"{item}", section
            )
        if item.sequence < last and not self.any_order:
            raise Failed(
                "the events of a stream in their order",
                f"{item} after {last}",
                page.ORDER,
            )
        self._last[stream] = max(last, item.sequence)
        self._due.pop(item, None)
        self._got.add(item)

    def missing(self) -> str:
        """The events that are due, for people."""
        due = self.due
        if not due:
            return "nothing"
        return f"{len(due)} of them, the first {due[0]}"
