"""Servers of etcd on loopback, with their data in a temporary folder: for trying out."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common import defaults
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_perf.hosts import etcd_program
from pubsub_perf.hosts.etcd_program import EtcdMember

# An election of three members takes up to two seconds, on a machine that is busy more.
_START_S: Final = 60.0
_ASK_S: Final = 5.0
_POLL_S: Final = 0.05

Process = subprocess.Popen[bytes]


class LocalEtcd:
    """Members that run, each with its process; ``registry`` is their URL for brokers."""

    def __init__(
        self, members: Sequence[EtcdMember], processes: Sequence[Process]
    ) -> None:
        self.members = tuple(members)
        self.processes = tuple(processes)
        self.registry = etcd_program.registry_url(members)


@contextlib.contextmanager
def local_etcd(
    count: int = 1, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[LocalEtcd]:
    """A cluster of ``count`` members that answers; its processes end with the block, and
    its data are removed. After ``interrupted`` the block begins at once.

    Raises:
        ConfigError: the program etcd is not installed.
        PubSubError: it does not start.
    """
    missing = etcd_program.unavailable()
    if missing is not None:
        raise ConfigError(missing)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="etcd-")))
        members = [
            EtcdMember(
                f"n{number}",
                defaults.LOOPBACK,
                folder / f"n{number}",
                stack.enter_context(_kept_port()),
                stack.enter_context(_kept_port()),
            )
            for number in range(count)
        ]
        processes = [
            stack.enter_context(_running(etcd_program.command(member, members), folder))
            for member in members
        ]
        deadline = time.monotonic() + _START_S
        for member, process in zip(members, processes, strict=True):
            while not (interrupted() or _answers(member)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PubSubError(f"etcd does not start: {_last_words(folder)}")
                time.sleep(_POLL_S)
        yield LocalEtcd(members, processes)


@contextlib.contextmanager
def _kept_port() -> Iterator[int]:
    """A port that the kernel gives to nobody else meanwhile; etcd, which asks for this very
    port, gets it."""
    with socket.socket() as keeper:
        keeper.bind((defaults.LOOPBACK, 0))
        # After `bind`: two keepers must not share a port.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield keeper.getsockname()[1]


@contextlib.contextmanager
def _running(words: Sequence[str], folder: Path) -> Iterator[Process]:
    # It does not outlive this process, however that ends.
    with_us = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
    with (folder / "log").open("ab") as log:
        # In a session of its own, so that the terminal's Ctrl-C does not reach it: brokers
        # that end still have something to tell it.
        process = subprocess.Popen(
            [*with_us, *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()  # its data are not needed
        process.wait()


def _answers(member: EtcdMember) -> bool:
    """Whether it answers, and its cluster has a leader."""
    connection = http.client.HTTPConnection(
        member.address, member.client_port, timeout=_ASK_S
    )
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


def _last_words(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").split("\n")
    said = [line for line in lines if line.strip()]
    return said[-1] if said else "it says nothing"
