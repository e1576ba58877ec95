"""Hosts that are loopback addresses: no root, no Mininet, no network to shape."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pubsub_perf.hosts.interface import HostError, Traffic, script, standard_streams
from pubsub_perf.hosts.machine_lock import AlreadyHeld, held
from pubsub_perf.hosts.namespaces import die_with_parent
from pubsub_perf.plan.topologies import Network

_BLOCKS: Final = 255
_HOSTS_PER_SUBNET: Final = 250


class LocalHosts:
    """Host i is 127.b.x.y. All share one kernel, one network stack and no links.

    ``b`` is 0 if no other process of this machine has such hosts, else the first number
    that is free.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._block = 0
        self._claim = ExitStack()

    def __enter__(self) -> Self:
        for block in range(_BLOCKS):
            try:
                self._claim.enter_context(held(f"pubsub-perf-hosts-{block}"))
            except AlreadyHeld:
                continue
            self._block = block
            return self
        raise HostError("no loopback addresses are free: other sweeps have them all")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._claim.close()

    def address(self, index: int) -> str:
        subnet, place = divmod(index, _HOSTS_PER_SUBNET)
        return f"127.{self._block}.{subnet + 1}.{place + 1}"

    def check(self, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
        """Loopback needs no check."""
        return {}

    def spawn(
        self,
        index: int,
        argv: Sequence[str],
        *,
        folder: Path,
        log: IO[bytes],
        piped: bool = False,
    ) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [script(argv[0]), *argv[1:]],
            cwd=folder,
            # Not in the terminal's process group: we forward Ctrl-C once.
            start_new_session=True,
            preexec_fn=die_with_parent,
            **standard_streams(log, piped),  # type: ignore[call-overload]
        )
        return process

    def traffic(self, index: int) -> Traffic | None:
        return None

    def describe(self) -> dict[str, object]:
        return {"kind": "local"}
