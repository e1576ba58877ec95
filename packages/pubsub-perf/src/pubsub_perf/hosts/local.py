"""Hosts that are loopback addresses: no root, no Mininet, no network to shape."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pubsub_perf.hosts.interface import Traffic, pipes, script
from pubsub_perf.hosts.namespaces import die_with_parent
from pubsub_perf.plan.topologies import Network

_PER_BLOCK = 250


class LocalHosts:
    """Host i is 127.0.x.y. All share one kernel, one network stack and no links."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def address(self, index: int) -> str:
        block, place = divmod(index, _PER_BLOCK)
        return f"127.0.{block + 1}.{place + 1}"

    def check(self, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
        """Loopback needs no proof."""
        return {}

    def spawn(
        self,
        index: int,
        argv: Sequence[str],
        *,
        folder: Path,
        log: IO[bytes],
        talk: bool = False,
    ) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [script(argv[0]), *argv[1:]],
            cwd=folder,
            # Out of the terminal's reach: we pass its Ctrl-C on, once.
            start_new_session=True,
            preexec_fn=die_with_parent,
            **pipes(log, talk),  # type: ignore[call-overload]
        )
        return process

    def traffic(self, index: int) -> Traffic | None:
        return None

    def describe(self) -> dict[str, object]:
        return {"kind": "local"}
