"""A broker in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys


class BrokerProcess:
    """A broker in a process of its own. Its log is read line by line as far as a test
    asks, and is short enough for the pipe otherwise."""

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
        """The next line of the log, which has this."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(pattern, line)
        assert found, line + self.process.stderr.read()
        return found

    def close(self) -> None:
        """Kill it, if it still runs, and let go of it."""
        self.process.kill()
        self.process.communicate()
