"""The share of each broker in the work of a group, from the ``cell.json`` of each run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_perf.analysis.values.results import BrokerUse, GroupResult
from pubsub_perf.analysis.values.samples import cell_name
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta
from pubsub_perf.results.cells import Cell

NO_QUEUE: Final = (
    "The queueing model has one broker; cells with several brokers are not compared with "
    "it."
)


def group_results(cells: Sequence[Cell]) -> Iterator[GroupResult]:
    """Of the cells that had several brokers."""
    for cell in cells:
        metas = [run.meta for run in cell.pooled if run.meta is not None]
        runs = [list(_brokers(meta)) for meta in metas]
        runs = [brokers for brokers in runs if brokers]
        if not runs:
            continue
        # Brokers get their clients by chance, so runs are joined by rank, not by name.
        ranked = zip(*(sorted(brokers, key=_work) for brokers in runs), strict=False)
        yield GroupResult(
            name=cell_name(cell.model, cell.network),
            brokers=tuple(map(_mean, ranked)),
            etcd=_average([_etcd(meta) for meta in metas]),
        )


def _brokers(meta: Meta) -> Iterator[BrokerUse]:
    listed = cell_fields.find(meta, "group", "brokers")
    span_s = cell_fields.number(meta, "measured_s")
    for broker in listed if isinstance(listed, list) else ():
        cpu_s = cell_fields.number(broker, "cpu_s")
        known = cpu_s is not None and span_s
        yield BrokerUse(
            clients=cell_fields.number(broker, "clients"),
            processor=cpu_s / span_s if known else None,  # type: ignore[operator]
        )


def _etcd(meta: Meta) -> float | None:
    cpu_s = cell_fields.number(meta, "group", "etcd", "cpu_s")
    span_s = cell_fields.number(meta, "measured_s")
    return cpu_s / span_s if cpu_s is not None and span_s else None


def _work(broker: BrokerUse) -> float:
    """The busiest first."""
    return -(broker.processor or 0.0)


def _mean(brokers: Sequence[BrokerUse]) -> BrokerUse:
    return BrokerUse(
        _average([broker.clients for broker in brokers]),
        _average([broker.processor for broker in brokers]),
    )


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) and known else None
