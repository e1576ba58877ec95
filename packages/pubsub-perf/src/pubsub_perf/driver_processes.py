"""Processes of one role that `pubsub-driver` starts, passes signals on to and waits for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pubsub_common.cli.signals import ending_signals
from pubsub_common.errors import PubSubError
from pubsub_common.net.open_files import check_open_files

_POLL_S: Final = 0.05
# What one instance may open, which has the same limit; and here for each of them.
_OWN_FILES: Final = 36
_FILES: Final = 4

Process = subprocess.Popen[bytes]


def run_together(
    role: str, commands: Sequence[Sequence[str]], keys: bytes | None = None
) -> None:
    """Run a role's script once for each of ``commands``, all at once, until all have
    ended; see `start` for ``keys``. Each process gets the signals of this one.

    Raises:
        PubSubError: some ended badly.
    """
    with noted_signals() as received:
        run_until_ended(role, commands, received, keys)


@contextlib.contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Signals that would end this process are put into the list, and do nothing else."""
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in ending_signals()
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_ended(
    role: str,
    commands: Sequence[Sequence[str]],
    received: Sequence[int],
    keys: bytes | None = None,
    started: Callable[[Sequence[Process]], None] = lambda processes: None,
    labels: Sequence[str] = (),
) -> None:
    """As `run_together`; the signals are those that come to be in ``received``. When all
    have begun, ``started`` is called. What each writes to standard error has its label, if
    there are ``labels``, before each line.

    Raises:
        PubSubError: some ended badly.
    """
    check_open_files("pubsub-driver", _OWN_FILES + _FILES * len(commands))
    processes: list[Process] = []
    copies: list[threading.Thread] = []
    try:
        for words in commands:
            if received:
                break
            process = start(role, words, keys, labelled=bool(labels))
            processes.append(process)
            if labels:
                copies.append(_copying(process, labels[len(copies)]))
        started(processes)
        passed_on = 0
        while any(process.poll() is None for process in processes):
            for number in received[passed_on:]:
                passed_on += 1
                for process in processes:
                    process.send_signal(number)
            time.sleep(_POLL_S)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
        for copy in copies:
            copy.join()
    # One that had not begun to listen to signals is ended by them.
    fine = {0, *(-number for number in received)}
    bad = [process for process in processes if process.returncode not in fine]
    if bad:
        raise PubSubError(f"{len(bad)} of {len(processes)} {role}s ended with an error")


def _copying(process: Process, label: str) -> threading.Thread:
    """A thread that copies what the process writes to standard error, until its end."""
    source = process.stderr
    assert source is not None, "it was started with a label"

    def copy() -> None:
        with source:
            for line in source:
                sys.stderr.write(f"{label} {line.decode(errors='replace')}")

    thread = threading.Thread(target=copy, name=f"log-{label}")
    thread.start()
    return thread


def start(
    role: str, words: Sequence[str], keys: bytes | None, *, labelled: bool = False
) -> Process:
    """A process of a role's script; it has ``keys``, if any, by a pipe of its own, and so
    its standard error, if it is to be ``labelled``."""
    with contextlib.ExitStack() as stack:
        inherited = []
        if keys is not None:
            read_fd, write_fd = os.pipe()
            stack.callback(os.close, read_fd)
            os.write(write_fd, keys)  # a pipe holds more than that
            os.close(write_fd)
            inherited.append(read_fd)
            words = [*words, "--keys", f"/dev/fd/{read_fd}"]
        # In a session of its own, so that the terminal's Ctrl-C does not reach it as
        # well: a second signal ends a role at once.
        return subprocess.Popen(
            [sys.executable, "-m", f"pubsub_{role}", *words],
            stderr=subprocess.PIPE if labelled else None,
            start_new_session=True,
            pass_fds=inherited,
        )
