"""Zenoh between peers with its shared memory: `zenoh` sees it by the job's system."""

from __future__ import annotations

from pathlib import Path

from peer_systems.registry import PEER_SYSTEMS
from peer_systems.zenoh import (
    port_names,
    publish,
    subscribe,
)
from pubsub_perf.bench.workload.scenario import Scenario

__all__ = ["broker", "port_names", "publish", "subscribe", "unavailable"]


def unavailable(*, brokered: bool) -> str | None:
    return PEER_SYSTEMS["zenoh-shm"].unavailable(brokered=brokered)


def broker(ports: dict[str, int], scenario: Scenario, folder: Path) -> list[str] | None:
    return None
