"""When printed events are flushed, and what ends the printing."""

from __future__ import annotations

import io
import os
import sys
import time
from collections import deque
from typing import Any, cast

import pytest

from pubsub_common.cli.standard_streams import ReaderLeft
from pubsub_common.protocol.events import Event
from pubsub_subscriber.output import handling
from pubsub_subscriber.output.handling import Handling
from pubsub_subscriber.output.stdout_writer import StdoutWriter
from pubsub_subscriber.subscriber import Subscriber


class Written(io.BytesIO):
    """A file that remembers how much of it was seen at each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[bytes] = []

    def flush(self) -> None:
        if not self.flushed or self.flushed[-1] != self.getvalue():
            self.flushed.append(self.getvalue())


class Stdout:
    """Stands for `sys.stdout`."""

    def __init__(self, *, terminal: bool) -> None:
        self.buffer = Written()
        self.isatty = lambda: terminal

    def fileno(self) -> int:
        raise io.UnsupportedOperation


class Script:
    """A subscriber that receives given bursts, with pauses in between."""

    def __init__(self, *bursts: list[bytes]) -> None:
        self._bursts = deque(deque(burst) for burst in bursts)
        self.latencies = self
        self.latency_count = 0
        self.ends = True

    def add(self, latency_ns: int) -> None:
        self.latency_count += 1

    def receive(self, timeout_s: float) -> Event | None:
        if self._bursts and self._bursts[0]:
            return Event("p", 0, 0, 0, self._bursts[0].popleft())
        if timeout_s == 0.0 or not self._bursts:
            if timeout_s and not self.ends:
                time.sleep(timeout_s)
            return None
        self._bursts.popleft()
        return self.receive(timeout_s)


def stdout(monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False) -> Written:
    replaced = Stdout(terminal=terminal)
    monkeypatch.setattr(sys, "stdout", replaced)
    return replaced.buffer


def payload(event: Event) -> bytes:
    return event.payload


def run(script: Script, *, flush: bool = False, **options: Any) -> bool:
    handling = Handling(StdoutWriter(payload, flush=flush), **options)
    return handling.run(cast(Subscriber, script))


def test_events_that_come_together_are_flushed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = stdout(monkeypatch)
    script = Script([b"1"], [b"2", b"3", b"4"], [b"5"])

    assert run(script)
    assert written.flushed == [b"", b"1", b"1234", b"12345"][-len(written.flushed) :]
    assert written.flushed[-3:] == [b"1", b"1234", b"12345"]
    assert script.latency_count == 5


@pytest.mark.parametrize(("terminal", "flush"), [(True, False), (False, True)])
def test_each_goes_at_once_to_a_terminal_or_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, flush: bool
) -> None:
    written = stdout(monkeypatch, terminal=terminal)

    assert run(Script([b"1", b"2", b"3"]), flush=flush)
    assert written.flushed[-3:] == [b"1", b"12", b"123"]


def test_a_listener_is_called_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout(monkeypatch)
    received: list[bytes] = []

    assert run(
        Script([b"1", b"2"], [b"3"]),
        on_event=lambda event: received.append(event.payload),
    )
    assert received == [b"1", b"2", b"3"]


@pytest.mark.parametrize("timeout_s", [0.0, 0.05])
def test_a_silence_that_is_too_long_ends_it(
    monkeypatch: pytest.MonkeyPatch, timeout_s: float
) -> None:
    written = stdout(monkeypatch)
    script = Script([b"1"])
    script.ends = False

    assert not run(script, timeout_s=timeout_s)
    assert written.getvalue() == b"1"


def test_a_reader_that_has_left_is_noticed_while_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handling, "_TURN_S", 0.001)
    script = Script()
    script.ends = False
    read_fd, write_fd = os.pipe()
    with os.fdopen(write_fd, "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        shown = StdoutWriter(payload)
        shown.check()
        os.close(read_fd)
        with pytest.raises(ReaderLeft):
            Handling(shown).run(cast(Subscriber, script))
