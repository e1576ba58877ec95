"""The logs that the workers write, and their content for the judge.

Text lines, written with one system call each, so that a kill loses at most one
write. An unfinished last line is ignored.

Publisher::

    S <session> <name> <1: it waited for subscribers before its first event, or 0>
    P <monotonic ns> <session> <topic> <first> <last>    published
    D <monotonic ns>                                     about to leave normally

Subscriber::

    S <monotonic ns> <1: it asked for the history, or 0>
    I <session>                                          registered
    R <monotonic ns>                                     ready
    T <monotonic ns> <session> <1: it has come, 0: it has gone>     notified
    E <session> <topic> <number> <name> <counter>        received
    G <session> <topic> <first> <last>                   reported lost
    X <monotonic ns>                                     about to leave normally
    C <JSON>                                             its counts

Name and counter of an event come from its payload, where the publisher wrote them:
they show duplicates and disorder without the sequence numbers.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pubsub_common.protocol.wildcards import matches

Stream = tuple[int, str]
Kind = Literal["received", "lost"]


class LogWriter:
    """Writes lines. Each is in the file when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *words: object) -> None:
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())


class _Tail:
    """The complete lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The new lines since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode() for line in whole]


@dataclasses.dataclass(slots=True)
class EventRange:
    """Events ``first`` to ``last``, published from ``at_ns`` on."""

    at_ns: int
    first: int
    last: int


def _begin_of(event_range: EventRange) -> int:
    return event_range.at_ns


class PublisherLog:
    """The events that one publisher process has published."""

    def __init__(self, path: Path) -> None:
        self.name = ""
        self.session = -1
        self.waited = False
        self.left_ns: int | None = None
        self.killed = False  # set by the killer
        self.event_ranges: dict[str, list[EventRange]] = {}
        self._tail = _Tail(path)

    def refresh(self) -> None:
        """Read new lines of the file."""
        for line in self._tail.lines():
            kind, *words = line.split(" ")
            match kind:
                case "S":
                    self.session, self.name = int(words[0]), words[1]
                    self.waited = words[2] == "1"
                case "P":
                    at_ns, _, topic, first, last = words
                    event_range = EventRange(int(at_ns), int(first), int(last))
                    self.event_ranges.setdefault(topic, []).append(event_range)
                case "D":
                    self.left_ns = int(words[0])

    def last(self, topic: str) -> int:
        """The number of the last event of a topic; -1 before the first."""
        event_ranges = self.event_ranges.get(topic)
        return event_ranges[-1].last if event_ranges else -1

    def first_since(self, topic: str, at_ns: int) -> int:
        """The first event that was certainly published after this time."""
        event_ranges = self.event_ranges.get(topic, [])
        index = bisect.bisect_left(event_ranges, at_ns, key=_begin_of)
        return (
            event_ranges[index].first
            if index < len(event_ranges)
            else self.last(topic) + 1
        )

    def last_before(self, topic: str, at_ns: int) -> int:
        """The last event that was certainly published before this time; -1 without one.
        An event range was complete when the next one began."""
        if self.left_ns is not None and self.left_ns <= at_ns:
            return self.last(topic)
        event_ranges = self.event_ranges.get(topic, [])
        begun = bisect.bisect_right(event_ranges, at_ns, key=_begin_of)
        return event_ranges[begun - 2].last if begun > 1 else -1

    @property
    def published(self) -> int:
        """The number of events of all topics."""
        return sum(self.last(topic) + 1 for topic in self.event_ranges)


@dataclasses.dataclass(slots=True)
class Run:
    """Events ``first`` to ``last`` of a stream with the same history, one after the
    other."""

    kind: Kind
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


class SubscriberLog:
    """The log of one subscriber process, in its order."""

    def __init__(
        self, path: Path, name: str, subscriptions: Sequence[str] = ("#",)
    ) -> None:
        self.name = name
        self._subscriptions = subscriptions
        self.history = False
        self.session = -1
        self.began_ns: int | None = None
        self.ready_ns: int | None = None
        self.told_ns: list[int] = []
        # The time and the session of each departure.
        self.told_gone: list[tuple[int, int]] = []
        self.left_ns: int | None = None
        self.counts: dict[str, int] | None = None
        self.runs: dict[Stream, list[Run]] = {}
        # Contradictions between payload and sequence number, in words.
        self.mismatches: list[str] = []
        self._names: dict[Stream, str] = {}
        self._tail = _Tail(path)

    def refresh(self) -> None:
        """Read new lines of the file."""
        for line in self._tail.lines():
            kind, *words = line.split(" ")
            match kind:
                case "E":
                    self._event(words)
                case "G":
                    stream = (int(words[0]), words[1])
                    self._add(stream, "lost", int(words[2]), int(words[3]))
                case "S":
                    self.began_ns, self.history = int(words[0]), words[1] == "1"
                case "I":
                    self.session = int(words[0])
                case "R":
                    self.ready_ns = int(words[0])
                case "T":
                    self.told_ns.append(int(words[0]))
                    if words[2] == "0":
                        self.told_gone.append((int(words[0]), int(words[1])))
                case "X":
                    self.left_ns = int(words[0])
                case "C":
                    self.counts = json.loads(" ".join(words))

    def wants(self, topic: str) -> bool:
        """Whether it has subscribed to a topic."""
        return any(matches(each, topic) for each in self._subscriptions)

    def last(self, stream: Stream) -> int:
        """The highest number that has been accounted for; -1 without any."""
        return max((run.last for run in self.runs.get(stream, ())), default=-1)

    def _event(self, words: list[str]) -> None:
        session, topic, number, name, counter = words
        stream, sequence = (int(session), topic), int(number)
        known = self._names.setdefault(stream, name)
        if int(counter) != sequence or name != known:
            self.mismatches.append(
                f"{self.name}: event {sequence} of {known} on {topic} holds {name}'s "
                f"number {counter}"
            )
        self._add(stream, "received", sequence, sequence)

    def _add(self, stream: Stream, kind: Kind, first: int, last: int) -> None:
        runs = self.runs.setdefault(stream, [])
        if runs and runs[-1].kind == kind and runs[-1].last + 1 == first:
            runs[-1].last = last
        else:
            runs.append(Run(kind, first, last))


def now_ns() -> int:
    """The clock of the logs, which all processes of a machine share."""
    return time.monotonic_ns()
