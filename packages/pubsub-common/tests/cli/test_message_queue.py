"""A thread writes messages: the caller does not wait, and dropped lines are counted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pubsub_common.cli.message_queue import MessageQueue
from pubsub_common.testing import wait_for

WAIT_S = 60.0
# As much as fits into a pipe of the smallest size.
PIPE_BYTES = 4096


def describe(lines: int) -> str:
    return f"{lines} missing"


class Pipe:
    """A pipe that holds little."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def read_to_end(self) -> list[bytes]:
        """The lines in it, when the end for writing is closed."""
        os.close(self.write_fd)
        with os.fdopen(self.read_fd, "rb") as file:
            return file.read().splitlines()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@contextlib.contextmanager
def reading(pipe: Pipe, count: int) -> Iterator[bytearray]:
    """Reads so many bytes meanwhile."""
    found = bytearray()

    def read() -> None:
        while len(found) < count:
            found.extend(os.read(pipe.read_fd, 1000))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield found
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_all_is_written_in_order(pipe: Pipe) -> None:
    messages = MessageQueue(pipe.write_fd, describe)
    lines = [b"%d" % number for number in range(10)]
    for line in lines:
        messages.put(line + b"\n")
    messages.finish(WAIT_S)

    assert pipe.read_to_end() == lines


def test_nobody_waits_for_a_reader_that_has_stopped(pipe: Pipe) -> None:
    messages = MessageQueue(pipe.write_fd, describe, max_bytes=10_000)
    line = b"x" * 99 + b"\n"
    for _ in range(10_000):
        messages.put(line)
    messages.finish(0.0)

    # Neither this line, which is for a pipe that is full.
    messages.put(line)


def test_what_finds_no_room_is_counted(pipe: Pipe) -> None:
    messages = MessageQueue(pipe.write_fd, describe, max_bytes=10_000)
    line = b"x" * 99 + b"\n"
    for _ in range(1000):
        messages.put(line)
    # The line comes although nothing follows.
    kept = bytearray()
    while b"missing\n" not in kept:
        kept += os.read(pipe.read_fd, 1000)
    first = bytes(kept).splitlines()

    messages.put(b"last\n")
    messages.finish(WAIT_S)

    assert set(first[:-1]) == {line[:-1]}
    assert first[-1] == b"%d missing" % (1000 - len(first) + 1)
    assert pipe.read_to_end() == [b"last"]


def test_a_reader_that_is_slow_is_not_told_of_each_line_that_it_misses(
    pipe: Pipe,
) -> None:
    messages = MessageQueue(pipe.write_fd, describe, max_bytes=10_000)
    line = b"x" * 99 + b"\n"
    found = bytearray()
    while len(found) < 100_000:
        for _ in range(10):
            messages.put(line)
        found += os.read(pipe.read_fd, 200)

    notices = bytes(found).count(b" missing\n")
    assert 0 < notices <= len(found) // 5_000
    os.close(pipe.read_fd)
    messages.finish(WAIT_S)


def test_lines_that_could_not_be_written_are_counted_when_others_can(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    full = os.open("/dev/full", os.O_WRONLY)
    with path.open("wb") as file:
        messages = MessageQueue(full, describe)
        messages.put(b"a\nb\n")
        messages.put(b"c\n")
        wait_for(lambda: messages._unwritten == 3, timeout_s=WAIT_S)
        os.dup2(file.fileno(), full)  # the disk has room again
    messages.put(b"d\n")
    messages.finish(WAIT_S)
    os.close(full)

    assert path.read_bytes() == b"3 missing\nd\n"


def test_a_line_that_was_cut_off_is_ended(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [4]

    def limited(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError("no space left on device")
        count = write(descriptor, data[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", limited)
    messages = MessageQueue(pipe.write_fd, describe)
    messages.put(b"a\nbcd\ne\n")
    wait_for(lambda: messages._unwritten == 2, timeout_s=WAIT_S)
    room[0] = 100
    messages.put(b"f\n")
    messages.finish(WAIT_S)

    assert pipe.read_to_end() == [b"a", b"bc", b"2 missing", b"f"]


def test_a_pipe_that_does_not_block_is_written_in_full(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_fd, False)
    messages = MessageQueue(pipe.write_fd, describe)
    with reading(pipe, 100_000) as found:
        for _ in range(1000):
            messages.put(b"x" * 99 + b"\n")
    messages.finish(WAIT_S)

    assert bytes(found) == (b"x" * 99 + b"\n") * 1000


def test_without_a_thread_it_writes_what_it_can(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    messages = MessageQueue(pipe.write_fd, describe)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for number in range(1000):
            messages.put(b"%d\n" % number)
    messages.finish(WAIT_S)

    # A pipe of this size takes that much without a reader; one more line would wait.
    assert pipe.read_to_end() == [b"0"]


def test_a_child_process_writes_with_a_thread_of_its_own(pipe: Pipe) -> None:
    messages = MessageQueue(pipe.write_fd, describe)
    messages.put(b"parent\n")
    messages.finish(WAIT_S)
    messages.forget()

    messages.put(b"child\n")
    messages.finish(WAIT_S)

    assert pipe.read_to_end() == [b"parent", b"child"]
