"""A broker in its own process."""

from __future__ import annotations

import re
import subprocess
import sys


class BrokerProcess:
    """A broker in its own process. Its log is read as far as a test needs, and is short
    enough for the pipe otherwise."""

    def __init__(self, *words: str, code: str | None = None) -> None:
        what = ["-m", "pubsub_broker"] if code is None else ["-c", code]
        self.process = subprocess.Popen(
            [sys.executable, *what, "--bind", "127.0.0.1", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.said(r"broker on 127\.0\.0\.1:(\d+)")[1])

    def said(self, pattern: str) -> re.Match[str]:
        """The next log line that contains this text."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(pattern, line)
        assert found, line + self.process.stderr.read()
        return found

    def close(self) -> None:
        """Kill it, if it still runs, and release it."""
        self.process.kill()
        self.process.communicate()
