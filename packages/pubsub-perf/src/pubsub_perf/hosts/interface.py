"""The interface of the hosts of a cell."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from pubsub_common.errors import PubSubError


class HostError(PubSubError):
    """A network could not be built, or is not as requested."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic through a host's network interface so far."""

    tx_bytes: int
    rx_bytes: int
    tx_packets: int
    rx_packets: int

    def since(self, earlier: Traffic) -> dict[str, int]:
        """The difference, by name."""
        return {
            field.name: getattr(self, field.name) - getattr(earlier, field.name)
            for field in dataclasses.fields(self)
        }


class Hosts(Protocol):
    """The hosts of one network, between ``__enter__`` and ``__exit__``."""

    def __enter__(self) -> Self:
        """Build the network.

        Raises:
            HostError: it cannot be built.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it down."""

    def address(self, index: int) -> str:
        """The IP address of host ``index``."""

    def check(self, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
        """Check that the network is as requested, and prepare it for traffic between ``pairs`` of
        hosts. Returns the measurements, for ``cell.json``.

        Raises:
            HostError: it is not; the text names the host and the difference.
        """

    def spawn(
        self,
        index: int,
        argv: Sequence[str],
        *,
        folder: Path,
        log: IO[bytes],
        piped: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Run a console script on host ``index`` in ``folder``, with its standard
        error (and output, unless ``piped``) in ``log``. With ``piped``, standard input
        and output are pipes."""

    def traffic(self, index: int) -> Traffic | None:
        """The traffic of host ``index``; None when it has no interface of its own."""

    def describe(self) -> dict[str, object]:
        """A description, for ``cell.json``."""


def script(name: str) -> str:
    """The path of one of our console scripts: beside this Python, else on PATH.

    Raises:
        HostError: it is not installed.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise HostError(f"the console script {name} is not installed")
    return found


def standard_streams(log: IO[bytes], piped: bool) -> dict[str, IO[bytes] | int]:
    """Standard streams for `subprocess.Popen`."""
    if piped:
        return {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
    return {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
