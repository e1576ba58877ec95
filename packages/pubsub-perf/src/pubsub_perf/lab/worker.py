"""The worker on a machine: runs the cells from its standard input.

The end of its standard input ends it and all processes that it started, also after the death of the
driver or of the connection. So it needs no terminal.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from pubsub_common.errors import PubSubError
from pubsub_perf.experiment import environment, interrupts
from pubsub_perf.experiment.machine_check import check_networks, check_programs
from pubsub_perf.experiment.sweep import Result, cell_folder, run_sweep
from pubsub_perf.hosts import namespaces
from pubsub_perf.hosts.factory import HostKind
from pubsub_perf.lab import messages
from pubsub_perf.lab.cell_archive import pack
from pubsub_perf.lab.channel import Channel
from pubsub_perf.lab.versions import code_digest
from pubsub_perf.lab.work_folder import work_folder
from pubsub_perf.plan.cases import Case

# The time for roles to terminate; remaining processes are killed with the worker.
_GRACE_S: Final = 3.0


def introduce(channel: Channel, words: Sequence[str]) -> None:
    """Introduce this machine, and serve the driver. For Mininet, ``words`` are run again in private
    namespaces.

    Raises:
        PubSubError: this machine cannot run a task.
    """
    about = environment.describe()
    channel.send(
        messages.Hello(
            code=code_digest(),
            versions=about["versions"],
            machine=about["machine"] | {"kernel": about["kernel"]},
            mininet=namespaces.unavailable(),
        )
    )
    choice = channel.receive()
    if not isinstance(choice, messages.Choose):
        raise messages.NotUnderstood(f"unexpected {type(choice).__name__}")
    if choice.hosts == "mininet":
        namespaces.enter(["-m", "pubsub_perf", *words])
    serve(choice.hosts)


def serve(kind: HostKind) -> None:
    """Run the driver's tasks on hosts of this kind, until it ends.

    Raises:
        PubSubError: this machine cannot run a task.
    """
    # The output of started programs is not a message.
    writing = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    channel = Channel(sys.stdin.fileno(), writing)
    interrupts.install()
    asked: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(channel, asked), daemon=True).start()
    with work_folder() as folder:
        while True:
            message = asked.get()
            if isinstance(message, messages.Check):
                check_programs(message.loads, message.most_hosts)
                channel.send(messages.Ready(check_networks(kind, message.loads)))
            elif isinstance(message, messages.RunCells):
                _run(message.cases, kind, folder, channel)


def _read(channel: Channel, asked: queue.SimpleQueue[messages.Message]) -> None:
    """Forward the driver's tasks; end the process with the driver."""
    main = threading.main_thread()
    try:
        while True:
            asked.put(channel.receive())
    except PubSubError:
        if main.ident is not None:
            signal.pthread_kill(main.ident, signal.SIGTERM)
        main.join(_GRACE_S)
        _end_now()


def _end_now() -> NoReturn:
    # Roles have asked the kernel to end with their parent, or are in its namespace.
    os._exit(1)


def _run(cases: Sequence[Case], kind: HostKind, folder: Path, channel: Channel) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out = Path(name)
        teller = _Teller(cases, out, channel)
        run_sweep(cases, kind, out, teller, force=True)
    channel.send(messages.AllEnded())


class _Teller:
    """The progress of a block, for its driver. The files of each cell are sent before the next cell
    begins, so that they disturb no measurement."""

    def __init__(self, cases: Sequence[Case], out: Path, channel: Channel) -> None:
        self._cases = list(cases)
        self._out = out
        self._channel = channel

    def begin(self, case: Case) -> None:
        self._channel.send(messages.Begun(self._cases.index(case)))

    def step(self, what: str) -> None:
        self._channel.send(messages.Step(what))

    def end(self, result: Result) -> None:
        with tempfile.TemporaryFile() as archive:
            pack(cell_folder(self._out, result.case), archive)
            archive.seek(0)
            while data := archive.read(messages.PIECE_BYTES):
                self._channel.send(messages.Piece(data))
        self._channel.send(messages.Ended(self._cases.index(result.case)))
