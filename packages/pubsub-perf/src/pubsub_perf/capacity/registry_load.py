"""The load of a group's clients on its registry, and on each broker's copy of it."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class RegistryCosts:
    """Of one client: ``mirror_bytes`` in each broker of the group, ``etcd_bytes`` in each
    member of etcd; ``change_us`` of each broker's processor when it joins, moves or leaves;
    ``list_us`` of time until a broker that starts knows it. ``writes_per_s``: clients that
    the group registers in a second."""

    mirror_bytes: float
    etcd_bytes: float
    change_us: float
    list_us: float
    writes_per_s: float


# By `pubsub-perf bench --brokers` with 10,000 clients (bar A19): docs/benchmarks/brokers.json.
MEASURED: Final = RegistryCosts(
    mirror_bytes=1120,
    etcd_bytes=376,
    change_us=54,
    list_us=96,
    writes_per_s=930,
)


@dataclasses.dataclass(frozen=True, slots=True)
class RegistryLoad:
    """For all clients of a group: memory, and the times of rare events.
    ``failover_s``: until the clients of a broker that dies are registered elsewhere.
    ``join_s``: until all clients have registered once."""

    mirror_bytes: float
    etcd_bytes: float
    list_s: float
    failover_s: float
    join_s: float
    change_us: float


def registry_load(
    clients: int, brokers: int, costs: RegistryCosts = MEASURED
) -> RegistryLoad:
    """The load for a group of brokers with equal numbers of clients."""
    return RegistryLoad(
        mirror_bytes=clients * costs.mirror_bytes,
        etcd_bytes=clients * costs.etcd_bytes,
        list_s=clients * costs.list_us / 1e6,
        failover_s=clients / brokers / costs.writes_per_s,
        join_s=clients / costs.writes_per_s,
        change_us=costs.change_us * brokers,
    )
