"""The driver's connection to one machine: an ``ssh`` with a worker at its other end."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO, Final

from pubsub_common.errors import PubSubError
from pubsub_perf.lab.channel import Channel
from pubsub_perf.lab.messages import (
    FromWorker,
    Hello,
    Message,
    NotUnderstood,
    Refused,
    decode,
)

# A login shell may print this much before the worker's first message.
_GREETING_LINES: Final = 200
_AGAIN_S: Final = 1.0
_END_S: Final = 6.0
_TAIL_BYTES: Final = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A machine's connection has ended or could not be made. ``refused``: the machine can be
    reached, but rejects the work."""

    why: str
    refused: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class News:
    """A message from a machine, or its loss."""

    machine: str
    what: FromWorker | Lost


class Connection:
    """Runs ``argv``, an ``ssh``, and puts its worker's messages into ``news``, `Hello` first and
    `Lost` last."""

    def __init__(
        self,
        machine: str,
        argv: Sequence[str],
        news: queue.SimpleQueue[News],
        *,
        patience_s: float = 0.0,
    ) -> None:
        """``patience_s``: for how long to retry if no worker answers."""
        self._machine = machine
        self._argv = list(argv)
        self._news = news
        self._patience_s = patience_s
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Send a message. If this fails, `Lost` follows."""
        if self._channel is not None:
            with contextlib.suppress(PubSubError):
                self._channel.send(message)

    def close(self) -> None:
        """End the worker by the end of its input; `wait` waits for it."""
        self._ended.set()
        with self._lock, contextlib.suppress(OSError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self) -> None:
        """Wait for the end of all processes, also at the other end if it can be reached."""
        self._thread.join(_END_S)
        with self._lock:
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _live(self) -> None:
        until = time.monotonic() + self._patience_s
        while True:
            heard, lost = self._connect_once()
            if heard or time.monotonic() > until or self._ended.wait(_AGAIN_S):
                break
        self._news.put(News(self._machine, lost))

    def _connect_once(self) -> tuple[bool, Lost]:
        """Connect, and stay until the end. Returns whether a worker has introduced itself, and the
        reason of the end."""
        heard = False
        with tempfile.TemporaryFile() as errors:
            try:
                process = self._start(errors)
            except OSError as error:
                return False, Lost(f"{self._argv[0]}: {error.strerror or error}")
            if process is None:
                return False, Lost("interrupted")
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                channel = Channel(process.stdout.fileno(), process.stdin.fileno())
                hello = _hello(channel)
                if isinstance(hello, Refused):
                    return False, Lost(hello.text, refused=True)
                heard = True
                self._channel = channel
                self._news.put(News(self._machine, hello))
                return True, self._listen(channel)
            except PubSubError as error:
                why = self._reason(process, errors, str(error))
                process.kill()  # it has no worker, or a silent one
                return heard, Lost(why)
            finally:
                self._end(process)

    def _start(self, errors: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ended.is_set():
                return None
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # Not in the terminal's process group: its Ctrl-C ends the workers through the
                # driver.
                start_new_session=True,
            )
            return self._process

    def _listen(self, channel: Channel) -> Lost:
        while True:
            message = channel.receive()
            if isinstance(message, Refused):
                return Lost(message.text, refused=True)
            self._news.put(News(self._machine, message))  # type: ignore[arg-type]

    def _reason(
        self, process: subprocess.Popen[bytes], errors: IO[bytes], why: str
    ) -> str:
        """The last line of ssh or the worker, if any."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        size = errors.seek(0, 2)
        errors.seek(max(0, size - _TAIL_BYTES))
        lines = errors.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"{why} ({said[-1]})" if said else why

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._channel = None
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        try:
            # Longer than a worker needs, so that none remains after the driver.
            process.wait(_END_S - 1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _hello(channel: Channel) -> Hello | Refused:
    """The worker's first message, after possible output of a login shell.

    Raises:
        PubSubError: there is no message.
    """
    said: NotUnderstood | None = None
    for _ in range(_GREETING_LINES):
        try:
            message = decode(channel.receive_line())
        except NotUnderstood as error:
            said = error
            continue
        if isinstance(message, Hello | Refused):
            return message
    raise said or NotUnderstood("no worker answers")
