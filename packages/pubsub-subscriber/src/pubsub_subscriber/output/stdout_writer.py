"""Writes events to standard output, which may be a pipe.

To a terminal each event goes at once. To a pipe or file they are collected while more
events are waiting, and go when none is: so the next program sees a lone event at once,
and many without a call of the kernel for each.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_common.cli.standard_streams import ReaderLeft

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.subscriber import Subscriber

# How often, while nothing comes, it is looked whether anybody still reads.
_TURN_S: Final = 1.0


class StdoutWriter:
    """Writes events to standard output."""

    def __init__(
        self, render: Callable[[Event], bytes], *, flush: bool = False
    ) -> None:
        """``flush`` asks for each event at once, wherever it goes."""
        self._render = render
        self._file = sys.stdout.buffer
        self._at_once = flush or sys.stdout.isatty()
        self._pipe = _pipe_of_stdout()

    def write(self, event: Event) -> None:
        """Raises:
        ReaderLeft: nobody reads any more.
        OutputFailed: standard output is closed, or full.
        """
        self._file.write(self._render(event))
        if self._at_once:
            self._file.flush()

    def flush(self) -> None:
        """Raises:
        ReaderLeft: nobody reads any more.
        OutputFailed: standard output is closed, or full.
        """
        self._file.flush()

    def check(self) -> None:
        """Find out without writing whether somebody still reads.

        Raises:
            ReaderLeft: nobody does.
        """
        if self._pipe is not None and self._pipe.poll(0):
            raise ReaderLeft("the reader of standard output has left")


def _pipe_of_stdout() -> select.poll | None:
    """What tells that the reader of standard output has left, if that is a pipe."""
    try:
        fd = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return None
    except (OSError, ValueError):  # it is not a file
        return None
    poller = select.poll()
    poller.register(fd, 0)  # an error is told of without being asked for
    return poller


def print_events(
    subscriber: Subscriber,
    output: StdoutWriter,
    *,
    on_event: Callable[[Event], None] | None = None,
    timeout_s: float | None = None,
) -> bool:
    """Write events as they arrive, until the subscriber has received all that it wants,
    is stopped, or has received none for ``timeout_s`` seconds. False when that ended it.

    Raises:
        ReaderLeft: nobody reads any more.
        OutputFailed: standard output is closed, or full.
        PubSubError: the broker refuses the subscriber.
    """
    receive, write = subscriber.receive, output.write
    count_latency = subscriber.latencies.add
    try:
        while True:
            event = receive(0.0)
            if event is None:
                output.flush()
                event, ended = _wait(subscriber, output, timeout_s)
                if event is None:
                    return ended
            count_latency(event.received_ns - event.published_ns)
            if on_event is not None:
                on_event(event)
            write(event)
    finally:
        output.flush()


def _wait(
    subscriber: Subscriber, output: StdoutWriter, timeout_s: float | None
) -> tuple[Event | None, bool]:
    """The next event; without one, whether the subscriber has ended: else it took too
    long."""
    start = time.monotonic()
    while True:
        now = time.monotonic()
        turn_s = _TURN_S
        if timeout_s is not None:
            turn_s = min(turn_s, max(0.0, start + timeout_s - now))
        event = subscriber.receive(turn_s)
        if event is not None:
            return event, False
        if time.monotonic() < now + turn_s:  # it did not even wait
            return None, True
        if timeout_s is not None and time.monotonic() >= start + timeout_s:
            return None, False
        output.check()
