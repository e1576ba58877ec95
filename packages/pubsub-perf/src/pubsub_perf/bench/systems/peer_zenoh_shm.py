"""Zenoh between peers with its shared memory: `peer_zenoh` sees it by the job's system."""

from __future__ import annotations

from pathlib import Path

from pubsub_perf.bench.systems.peer_zenoh import (
    WITH_SHARED_MEMORY,
    port_names,
    publish,
    subscribe,
)
from pubsub_perf.bench.systems.peers import PEERS

__all__ = ["broker", "port_names", "publish", "subscribe", "unavailable"]


def unavailable(*, brokered: bool) -> str | None:
    return PEERS[WITH_SHARED_MEMORY].unavailable(brokered=brokered)


def broker(ports: dict[str, int], *, brokered: bool, folder: Path) -> list[str] | None:
    return None
