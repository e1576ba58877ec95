"""The role and the median latency of each host of a cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.plan.topologies import Network, Placement
from pubsub_perf.plots.network_layout import network_of
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.summary_statistics import nearest_rank

Role = Literal["broker", "publisher", "subscriber"]


@dataclasses.dataclass(frozen=True, slots=True)
class HostLatency:
    """``median_s``: of the events that a publisher sent or a subscriber received; None
    for the broker, and without samples."""

    host: str
    role: Role
    median_s: float | None


def host_latencies(
    summary: CellSummary,
) -> tuple[Network, tuple[HostLatency, ...]] | None:
    """The network of a cell and its hosts; None if ``cell.json`` lacks the
    roles of hosts."""
    cell = summary.cell
    network = network_of(cell.meta)
    if network is None:
        return None
    place = Placement.of(len(network.hosts))
    counts = cell.publishers, cell.subscribers
    if counts != (len(place.publishers), len(place.subscribers)):
        return None
    return network, tuple(_views(summary, network, place))


def _views(
    summary: CellSummary, network: Network, place: Placement
) -> Iterator[HostLatency]:
    sent, received = _by_publisher(summary), _by_subscriber(summary)
    addresses = cell_fields.find(summary.cell.meta, "hosts", "publishers")
    known = addresses if isinstance(addresses, list) else []
    yield HostLatency(network.hosts[0], "broker", None)
    for number, host in enumerate(place.publishers):
        address = str(known[number]) if number < len(known) else ""
        yield HostLatency(network.hosts[host], "publisher", _median(sent.get(address)))
    for number, host in enumerate(place.subscribers):
        median_s = _median(received.get(number))
        yield HostLatency(network.hosts[host], "subscriber", median_s)


def _median(latencies: list[NDArray[np.float64]] | None) -> float | None:
    ordered = np.sort(np.concatenate(latencies)) if latencies else np.empty(0)
    return nearest_rank(ordered, 500) if len(ordered) else None


def _by_subscriber(summary: CellSummary) -> dict[int, list[NDArray[np.float64]]]:
    found: dict[int, list[NDArray[np.float64]]] = {}
    for file in summary.files:
        if file.index is not None:
            found.setdefault(file.index, []).append(file.latencies)
    return found


def _by_publisher(summary: CellSummary) -> dict[str, list[NDArray[np.float64]]]:
    """By address without port."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for file in summary.files:
        if len(file.stream_of) != len(file.latencies):
            continue
        for number, (publisher, _) in enumerate(file.streams):
            address = publisher.rpartition(":")[0] or publisher
            of_stream = file.latencies[file.stream_of == number]
            found.setdefault(address, []).append(of_stream)
    return found
