"""Runs a command for each event (``--exec``)."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pubsub_common.errors import PubSubError
from pubsub_common.text.counted import counted

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event


class CommandRunner:
    """Runs a shell command for each event: the payload on its standard input, the other
    fields in its environment. While the most allowed commands run, `write` waits, and
    events wait in the subscriber's queue."""

    def __init__(
        self,
        command: str,
        jobs: int,
        warn: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """At most ``jobs`` commands run at once. ``warn`` gets the first failure. The same
        Ctrl-C may end the subscriber and its commands, so commands that end after the
        subscriber was ``stopped`` do not count as failures."""
        self._command = command
        self._warn = warn
        self._stopped = stopped
        self._slots = threading.Semaphore(jobs)
        self._jobs = jobs
        self._lock = threading.Lock()
        self._started = 0
        self._failed = 0

    def write(self, event: Event) -> None:
        """Start a command, when there is room for it."""
        self._slots.acquire()
        self._started += 1
        thread = threading.Thread(
            target=self._run, args=(event,), name="command", daemon=True
        )
        thread.start()

    def flush(self) -> None:
        """Nothing is collected."""

    def check(self) -> None:
        """Commands need no reader."""

    def close(self) -> None:
        """Wait for the running commands.

        Raises:
            PubSubError: Some have failed.
        """
        for _ in range(self._jobs):
            self._slots.acquire()
        if self._failed:
            commands = counted(self._started, "command")
            raise PubSubError(f"{self._failed} of {commands} failed")

    def _run(self, event: Event) -> None:
        try:
            self._judge(event, self._outcome(event))
        finally:
            self._slots.release()

    def _outcome(self, event: Event) -> str | None:
        """The reason of a failure; None: the command succeeded."""
        try:
            done = subprocess.run(
                ("/bin/sh", "-c", self._command),
                input=event.payload,
                env=os.environ | variables(event),
                check=False,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        code = done.returncode
        if not code:
            return None
        return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"

    def _judge(self, event: Event, reason: str | None) -> None:
        if reason is None or self._stopped():
            return
        with self._lock:
            self._failed += 1
            first = self._failed == 1
        if first:
            self._warn(
                f"the command {reason} for event {event.sequence} of {event.topic} "
                "(further failures are counted, not logged)"
            )


def variables(event: Event) -> dict[str, str]:
    """The environment variables of a command."""
    return {
        "PUBSUB_TOPIC": event.topic,
        "PUBSUB_PUBLISHER": event.publisher,
        "PUBSUB_SEQUENCE": str(event.sequence),
        "PUBSUB_PUBLISHED_NS": str(event.published_ns),
    }
