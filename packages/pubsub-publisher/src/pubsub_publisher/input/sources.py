"""Sources of events for the command line: lines of standard input, files, a text.

Each source is an iterator over lists of payloads. A list holds the payloads that came
together: many are published in batches, few at once.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.input.record_splitter import RecordSplitter

# Most bytes of one read. A pipe gives 64 KiB at most.
_READ_BYTES: Final = 262_144
# Longest wait for a read, because a signal does not end it.
_TURN_MS: Final = 200
_LITERALS: Final = 1000

Stopped = Callable[[], bool]


def records(
    fd: int, terminator: bytes, stopped: Stopped, bounds: QueueBounds
) -> Iterator[list[bytes]]:
    """Records from ``fd`` that end in ``terminator``, as they come; the last one may lack it.

    Raises:
        OSError: It cannot be read.
        ConfigError: A record is longer than the largest payload.
    """
    splitter = RecordSplitter(terminator, bounds)
    for data in _blocks(fd, stopped):
        if complete := splitter.push(data):
            yield complete
    if not stopped() and (last := splitter.finish()):
        yield last


def files(
    paths: Sequence[str], stopped: Stopped, bounds: QueueBounds
) -> Iterator[list[bytes]]:
    """The content of each file.

    Raises:
        OSError: A file cannot be read.
        ConfigError: A file is longer than the largest payload.
    """
    for path in paths:
        # Not read at once, because it may be an endless pipe.
        with Path(path).open("rb", buffering=0) as file:
            blocks, size = [], 0
            for block in _blocks(file.fileno(), stopped):
                blocks.append(block)
                size += len(block)
                bounds.check_payload(size)
            content = b"".join(blocks)
        if stopped():
            return
        yield [content]


def literals(payloads: Sequence[bytes], count: int | None) -> Iterator[list[bytes]]:
    """The payloads in turn, ``count`` altogether; None: without end."""
    endless = cycle(payloads)
    while count is None:
        yield list(islice(endless, _LITERALS))
    while count:
        many = min(count, _LITERALS)
        yield list(islice(endless, many))
        count -= many


def check_files(paths: Sequence[str]) -> None:
    """Check that the files can be read, before the first one is published.

    Raises:
        ConfigError: A file cannot be read.
    """
    for path in paths:
        if Path(path).is_dir():
            reason = "it is a folder"
        elif not Path(path).exists():
            reason = "there is no such file"
        elif not os.access(path, os.R_OK):
            reason = "it is read protected"
        else:
            continue
        raise ConfigError(f"cannot read {path}: {reason}")


def _blocks(fd: int, stopped: Stopped) -> Iterator[bytes]:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while not stopped():
        if not poller.poll(_TURN_MS):
            continue
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:  # another process has read it
            continue
        if not data:
            return
        yield data
