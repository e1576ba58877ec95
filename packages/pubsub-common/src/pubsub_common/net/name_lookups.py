"""Resolves host names in threads of its own.

A lookup may take many seconds. So neither libzmq's thread, which moves all events, nor
the control thread does it. The threads exist while there are names to resolve, and no
thread waits for them, as a call of the resolver cannot be interrupted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from pubsub_common.defaults import (
    LOOKUP_RETRY_MAX_S,
    LOOKUP_RETRY_S,
    LOOKUP_THREADS,
    WAIT_SLICE_S,
)
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.net import addresses
from pubsub_common.net.detached import start_detached
from pubsub_common.text.printable import printable

_log = logging.getLogger(__name__)

# The IP addresses of a name, or the error.
Answer = list[str] | PubSubError
LookUp = Callable[[str], list[str]]


class NameLookups:
    """Resolves names for one thread, which gets the answers from `take`."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        # Called in a lookup thread when there is an answer to take.
        self.answered: Callable[[], None] = lambda: None
        self._look_up = look_up
        self._lock = threading.Lock()
        self._wanted: dict[str, None] = {}  # in their order
        self._running: set[str] = set()
        self._threads = 0
        self._answers: deque[tuple[str, Answer]] = deque()

    def ask(self, name: str) -> None:
        """Resolve a name, unless this is in progress."""
        with self._lock:
            if name in self._running or name in self._wanted:
                return
            self._wanted[name] = None
            if self._threads >= LOOKUP_THREADS:
                return
            self._threads += 1
        if not start_detached(self._work, "pubsub-lookup"):
            with self._lock:
                self._threads -= 1
                self._wanted.pop(name, None)
            self._answers.append((name, PubSubError("there can be no more threads")))

    def take(self) -> list[tuple[str, Answer]]:
        """The answers since the last call, by name."""
        taken = []
        while self._answers:
            taken.append(self._answers.popleft())
        return taken

    def _work(self) -> None:
        look_up = self._look_up or addresses.resolve_all
        while (name := self._next()) is not None:
            answer: Answer
            try:
                answer = look_up(name)
            except PubSubError as error:
                answer = error
            with self._lock:
                self._running.discard(name)
            self._answers.append((name, answer))
            self.answered()

    def _next(self) -> str | None:
        with self._lock:
            if not self._wanted:
                self._threads -= 1
                return None
            name = next(iter(self._wanted))
            del self._wanted[name]
            self._running.add(name)
            return name


def resolve_within(
    host: str, timeout_s: float, *, stopped: Callable[[], bool] = lambda: False
) -> str:
    """`addresses.resolve`, repeated for ``timeout_s`` seconds while the name is
    unknown: its name server may be about to start. For a thread that may wait.

    Raises:
        PubSubError: it is unknown at the end.
        NotReady: ``stopped`` became true before.
    """
    deadline = time.monotonic() + timeout_s
    wait_s, said = LOOKUP_RETRY_S, False
    while True:
        try:
            return addresses.resolve(host)
        except PubSubError as error:
            if stopped():
                raise NotReady(f"stopped before {host!r} was known") from error
            if time.monotonic() + wait_s >= deadline:
                raise
            if not said:
                said = True
                text = printable(str(error))
                _log.warning("%s; trying for %g s", text, timeout_s)
        until = time.monotonic() + wait_s
        while time.monotonic() < until and not stopped():
            time.sleep(WAIT_SLICE_S / 4)
        wait_s = min(2 * wait_s, LOOKUP_RETRY_MAX_S)
