"""Median latency of every publisher to every subscriber of one cell."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.text.ascii_numbers import is_digits
from pubsub_common.text.printable import printable
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import SubscriberData
from pubsub_perf.results.summary_statistics import nearest_rank

# More values are not publishers, but for example event numbers.
_MAX_PUBLISHERS: Final = 1000
_NUMBERS: Final = re.compile(r"([0-9]+)")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PairLatencies:
    """``median_s`` and ``count`` by publisher (row) and subscriber (column); NaN without
    a sample. Rows and columns have readable names."""

    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    median_s: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def short(self) -> NDArray[np.bool_]:
        """Pairs with fewer samples than the subscriber has from other publishers."""
        return np.asarray(self.count < self.count.max(axis=0, keepdims=True))


def pair_latencies(summary: CellSummary) -> PairLatencies | None:
    """The pairs of a cell; None if its files do not name publishers."""
    by_subscriber: dict[tuple[bool, int, str], list[SubscriberData]] = {}
    for file in summary.files:
        key = (file.index is None, file.index or 0, file.name)
        by_subscriber.setdefault(key, []).append(file)
    found = [_by_publisher(files) for files in by_subscriber.values()]
    addresses = sorted({p for samples in found for p in samples}, key=_natural)
    if not 0 < len(addresses) <= _MAX_PUBLISHERS:
        return None
    shape = len(addresses), len(found)
    median_s, count = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    row_of = {address: row for row, address in enumerate(addresses)}
    for column, samples in enumerate(found):
        for address, latencies in samples.items():
            ordered = np.sort(latencies)
            median_s[row_of[address], column] = nearest_rank(ordered, 500)
            count[row_of[address], column] = len(ordered)
    meta = summary.cell.meta
    hosts = _hosts(meta)
    names = [_name(key, meta) for key in by_subscriber]
    bare = [_without_port(address) for address in addresses]
    plain = bare if len(set(bare)) == len(bare) else addresses
    rows = (
        hosts.get(address) or hosts.get(_without_port(address)) or short
        for address, short in zip(addresses, plain, strict=True)
    )
    return PairLatencies(tuple(map(printable, rows)), tuple(names), median_s, count)


def _by_publisher(files: Iterable[SubscriberData]) -> dict[str, NDArray[np.float64]]:
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for file in files:
        if len(file.stream_of) != len(file.latencies):
            continue
        order = np.argsort(file.stream_of, kind="stable")
        bounds = np.flatnonzero(np.diff(file.stream_of[order])) + 1
        for group in np.split(order, bounds):
            publisher = file.streams[file.stream_of[group[0]]][0] if len(group) else ""
            if publisher:
                parts.setdefault(publisher, []).append(file.latencies[group])
    return {publisher: np.concatenate(found) for publisher, found in parts.items()}


def _natural(address: str) -> list[tuple[int, str]]:
    """So that 10.0.0.9 comes before 10.0.0.10."""
    pieces = _NUMBERS.split(address)
    return [(int(p), "") if is_digits(p) else (-1, p) for p in pieces if p]


def _hosts(meta: Meta | None) -> Mapping[str, str]:
    """The names of the publishers' hosts, by address with and without port."""
    listed = cell_fields.find(meta, "publishers")
    hosts: dict[str, str] = {}
    for item in listed if isinstance(listed, list) else []:
        address, host = (
            cell_fields.text(item, "address"),
            cell_fields.text(item, "host"),
        )
        if address and host:
            hosts |= {address: host, _without_port(address): host}
    return hosts


def _name(key: tuple[bool, int, str], meta: Meta | None) -> str:
    unnumbered, index, name = key
    if unnumbered:
        return printable(name)
    listed = cell_fields.find(meta, "subscribers")
    for item in listed if isinstance(listed, list) else []:
        if cell_fields.count(item, "index") == index and cell_fields.text(item, "host"):
            return printable(str(cell_fields.text(item, "host")))
    return str(index)


def _without_port(address: str) -> str:
    return address.rpartition(":")[0] or address
