"""What an analysis says of cells with several brokers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pubsub_perf.analysis.analyse import analyse
from pubsub_perf.analysis.groups import NO_QUEUE, group_results
from pubsub_perf.report.findings import findings_of
from pubsub_perf.results.cells import Cell, Dataset, Run


def meta(*brokers: tuple[int, float | None], etcd: float = 0.1) -> dict[str, Any]:
    """A run of 2 s in which each broker had so many clients and used so many seconds."""
    return {
        "measured_s": 2.0,
        "parameters": {"brokers": len(brokers)},
        "group": {
            "brokers": [
                {"address": f"10.0.0.{n}", "clients": clients, "cpu_s": cpu_s}
                for n, (clients, cpu_s) in enumerate(brokers)
            ],
            "etcd": {"cpu_s": etcd},
        },
    }


def cell(*metas: dict[str, Any]) -> Cell:
    folder = Path("data/centralized/single-switch-9hosts")
    runs = tuple(
        Run(folder, number, each, (), 10, 10, 0, "ok", None, "ok", None)
        for number, each in enumerate(metas, 1)
    )
    return Cell(
        folder=folder,
        model="centralized",
        network="single-switch-9hosts",
        kind="single-switch",
        hosts=9,
        publishers=4,
        subscribers=4,
        meta=metas[0],
        files=(),
        expected=10,
        received=10,
        lost=0,
        outcome="ok",
        reason=None,
        fidelity="ok",
        fidelity_reason=None,
        runs=runs,
    )


def test_brokers_are_joined_over_runs_by_their_rank() -> None:
    (found,) = group_results(
        [cell(meta((3, 0.2), (5, 0.6)), meta((6, 1.0), (2, 0.2), etcd=0.3))]
    )
    assert found.name == "centralized/single-switch-9hosts"
    busiest, other = found.brokers
    assert busiest.clients == pytest.approx(5.5)
    assert busiest.processor == pytest.approx(0.4)
    assert (other.clients, other.processor) == pytest.approx((2.5, 0.1))
    assert found.busiest_share == pytest.approx(0.8)
    assert found.etcd == pytest.approx(0.1)


def test_what_nobody_measured_is_not_known() -> None:
    (found,) = group_results([cell(meta((3, None), (5, 0.6)))])
    assert found.busiest_share is None
    assert [broker.processor for broker in found.brokers] == [pytest.approx(0.3), None]


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"group": 7},
        {"group": {"brokers": "two"}},
        {"group": {"brokers": []}},
        {"parameters": {"brokers": 1}},
    ],
)
def test_cells_of_one_broker_and_strange_ones_have_no_row(
    strange: dict[str, Any],
) -> None:
    assert not list(group_results([cell(strange)]))


def test_the_analysis_shows_them_and_no_queue() -> None:
    grouped = cell(meta((3, 0.2), (5, 0.6)))
    analysis = analyse(Dataset(Path("sweep"), (grouped,), ()))
    assert analysis.queueing.missing == (NO_QUEUE,)
    assert "2 brokers" in analysis.cells[0].load
    (table,) = [
        table
        for table in findings_of(analysis).tables
        if table.title == "Groups of brokers"
    ]
    assert table.rows == (
        (
            "centralized/single-switch-9hosts",
            "2",
            "5 / 3",
            "30 % / 10 %",
            "75 %",
            "5 %",
        ),
    )
