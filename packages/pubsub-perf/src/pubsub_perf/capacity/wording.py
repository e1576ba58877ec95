"""A group's growth as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from pubsub_common.text.counted import counted
from pubsub_perf.capacity.assumptions import ETCD_QUOTA_BYTES, assumptions
from pubsub_perf.capacity.costs import EventCosts
from pubsub_perf.capacity.growth import Point
from pubsub_perf.capacity.registry_load import RegistryLoad
from pubsub_perf.capacity.workload import Workload

_HEADER = (
    "brokers  forwarding  speed-up  events/s  busiest, us an event  copies  connections"
)


def lines(
    workload: Workload,
    costs: EventCosts,
    points: Sequence[Point],
    load: RegistryLoad,
) -> Iterator[str]:
    """The prediction as lines; ``load`` is for the largest group."""
    yield (
        f"{counted(workload.subscribers, 'subscriber', grouped=True)} of "
        f"{counted(workload.topics_each, 'topic', grouped=True)} each, "
        f"{counted(workload.topics, 'topic', grouped=True)} ({workload.popularity}), "
        f"events of {workload.payload_bytes:,} B."
    )
    yield (
        f"Processor time of a broker: {costs.taken_us:g} us to receive an event and "
        f"{costs.copy_us:g} us for each copy (a = {costs.ratio:.1f})."
    )
    yield ""
    yield _HEADER
    for _, same in itertools.groupby(points, key=lambda point: point.brokers):
        for point in same:
            yield _row(point)
    yield ""
    yield from _registry(points[-1].brokers, load)
    yield ""
    yield "This assumes:"
    for line in assumptions(workload):
        yield f"- {line}"


def _row(point: Point) -> str:
    return (
        f"{point.brokers:>7}  {point.forwarding:<10}  {point.speed_up:>8.2f}  "
        f"{point.events_per_s:>8,.0f}  {point.busiest_us:>20,.1f}  "
        f"{point.copies:>6.2f}  {point.connections:>11.2f}"
    )


def _registry(brokers: int, load: RegistryLoad) -> Iterator[str]:
    yield f"The registry, with {counted(brokers, 'broker')}:"
    yield f"- memory of each broker for all clients: {_mib(load.mirror_bytes)}"
    beyond = ""
    if load.etcd_bytes > ETCD_QUOTA_BYTES:
        beyond = f"; more than etcd's quota of {_mib(ETCD_QUOTA_BYTES)}, so raise it"
    yield f"- data in each member of etcd: {_mib(load.etcd_bytes)}{beyond}"
    yield f"- a broker that starts knows all clients after {load.list_s:,.2f} s"
    yield f"- all clients register within {load.join_s:,.1f} s"
    if brokers > 1:
        yield (
            "- the clients of a broker that dies are at others within "
            f"{load.failover_s:,.1f} s"
        )
    yield (
        "- a client that joins, moves or leaves costs "
        f"{load.change_us:,.0f} us of all brokers' processors together"
    )


def _mib(size: float) -> str:
    return f"{size / 1024**2:,.1f} MiB"
