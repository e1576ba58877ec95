"""Checks a folder again and again, in its own thread.

The files may be large, and the disk slow, or unavailable for a while: clients must not
wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class FolderWatch:
    """Calls ``look`` every ``interval_s`` seconds, and on request."""

    def __init__(self, look: Callable[[], object], interval_s: float) -> None:
        self.thread = threading.Thread(
            target=self._run, name="broker-keys", daemon=True
        )
        self._look = look
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._looks_since: float | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def look_now(self, timeout_s: float) -> None:
        """Wait for one more check, at most ``timeout_s`` seconds. If a check has taken
        longer than that already, return immediately: a slow disk delays one caller, not
        each one."""
        if not self.thread.is_alive():
            return
        with self._changed:
            since = self._looks_since
            if since is not None and time.monotonic() - since > timeout_s:
                return
            self._asked += 1
            number = self._asked
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._stopped or self._done >= number, timeout_s
            )

    def stop(self, timeout_s: float) -> None:
        """End the thread. Waits at most ``timeout_s`` seconds for a check in progress."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self.thread.is_alive():
            self.thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopped or self._asked > self._done, self._interval_s
                )
                if self._stopped:
                    return
                number = self._asked
                self._looks_since = time.monotonic()
            try:
                self._look()
            except Exception:  # if the thread ended, revocations would have no effect
                _log.exception("cannot read the folder of keys; retrying")
            with self._changed:
                self._done = number
                self._looks_since = None
                self._changed.notify_all()
