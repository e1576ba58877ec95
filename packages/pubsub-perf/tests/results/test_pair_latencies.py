"""Medians by publisher and subscriber, and by host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.perf_figures import cell
from support.perf_sweeps import WARMUP, write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.plots.host_latencies import host_latencies
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import SubscriberData
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.pair_latencies import pair_latencies
from pubsub_perf.results.summarise_cell import summary_of


def subscriber(index: int | None, rows: list[tuple[str, float]]) -> SubscriberData:
    """The file of one subscriber: publishers and latencies."""
    streams = list(dict.fromkeys((publisher, "A") for publisher, _ in rows))
    return SubscriberData(
        name=f"subscriber-{index}" if index is not None else "some",
        index=index,
        publishers=tuple(publisher for publisher, _ in streams),
        topics=("A",),
        latencies=np.array([latency for _, latency in rows]),
        streams=tuple(streams),
        stream_of=np.array(
            [streams.index((publisher, "A")) for publisher, _ in rows], dtype=np.int32
        ),
    )


def of(*files: SubscriberData, **fields: Any) -> CellSummary:
    return cell([0.0], files=files, **fields)


def test_the_median_of_a_pair_is_that_of_its_events() -> None:
    found = pair_latencies(
        of(
            subscriber(0, [("a", 3.0), ("b", 9.0), ("a", 1.0), ("a", 2.0)]),
            subscriber(1, [("b", 5.0), ("b", 7.0)]),
        )
    )
    assert found is not None
    assert (found.publishers, found.subscribers) == (("a", "b"), ("0", "1"))
    assert found.count.tolist() == [[3, 0], [1, 2]]
    expected = [[2.0, np.nan], [9.0, 5.0]]
    np.testing.assert_array_equal(found.median_s, expected)
    assert found.short.tolist() == [[False, True], [True, False]]


def test_files_of_several_runs_are_one_column() -> None:
    runs = [subscriber(0, [("a", 1.0)]), subscriber(1, [("a", 5.0)])]
    more = [subscriber(0, [("a", 3.0), ("a", 2.0)]), subscriber(1, [("b", 7.0)])]
    found = pair_latencies(of(*runs, *more))
    assert found is not None
    assert found.count.tolist() == [[3, 1], [0, 1]]
    assert found.median_s[0].tolist() == [2.0, 5.0]


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        (["10.0.0.10:5556", "10.0.0.9:5556"], ("10.0.0.9", "10.0.0.10")),
        (["h:10", "h:9"], ("h:9", "h:10")),
        (["b", "a"], ("a", "b")),
    ],
)
def test_publishers_are_in_the_order_of_their_numbers(
    addresses: list[str], shown: tuple[str, ...]
) -> None:
    found = pair_latencies(of(subscriber(0, [(address, 1.0) for address in addresses])))
    assert found is not None
    assert found.publishers == shown


def test_hosts_are_named_as_cell_json_names_them() -> None:
    meta = {
        "publishers": [
            {"index": 0, "host": "h2", "address": "10.0.0.2:5556"},
            {"index": 1, "host": "h3", "address": "10.0.0.3"},
            {"host": 7, "address": None},
            "odd",
        ],
        "subscribers": [{"index": 1, "host": "h9"}, {"index": "x"}, None],
    }
    rows = [(f"10.0.0.{n}:5556", 1.0) for n in (2, 3, 4)]
    found = pair_latencies(of(subscriber(0, rows), subscriber(1, rows), meta=meta))
    assert found is not None
    assert found.publishers == ("h2", "h3", "10.0.0.4")
    assert found.subscribers == ("0", "h9")


def test_publishers_that_nobody_wrote_down_make_no_pairs() -> None:
    assert pair_latencies(cell([1.0, 2.0])) is None
    assert pair_latencies(of(subscriber(0, []))) is None
    many = [(str(n), 1.0) for n in range(1001)]
    assert pair_latencies(of(subscriber(0, many))) is None


values = st.lists(
    st.tuples(st.sampled_from("abcd"), st.floats(-1, 1)), min_size=1, max_size=40
)


@given(st.lists(values, min_size=1, max_size=4))
def test_no_event_is_lost_between_pairs(subscribers: list[Any]) -> None:
    found = pair_latencies(
        of(*(subscriber(i, rows) for i, rows in enumerate(subscribers)))
    )
    assert found is not None
    assert found.count.sum() == sum(map(len, subscribers))
    assert (np.isnan(found.median_s) == (found.count == 0)).all()
    for column, rows in enumerate(subscribers):
        for row, publisher in enumerate(found.publishers):
            mine = sorted(latency for name, latency in rows if name == publisher)
            if mine:
                assert found.median_s[row, column] == mine[(len(mine) - 1) // 2]


# Hosts.


@pytest.fixture(scope="module")
def dumbbell(tmp_path_factory: pytest.TempPathFactory) -> CellSummary:
    folder = tmp_path_factory.mktemp("sweep")
    write_sweep(folder, [topologies.dumbbell(8)], models=["centralized"], runs=2)
    (found,) = read_dataset(folder).cells
    return summary_of(found)


def test_every_host_has_its_role_and_median(dumbbell: CellSummary) -> None:
    found = host_latencies(dumbbell)
    assert found is not None
    network, hosts = found
    assert network == topologies.dumbbell(8)
    roles = ["broker", *["publisher"] * 4, *["subscriber"] * 3]
    assert [host.role for host in hosts] == roles
    assert [host.host for host in hosts] == [f"h{n}" for n in range(1, 9)]
    assert hosts[0].median_s is None
    table = pair_latencies(dumbbell)
    assert table is not None
    for host in hosts[1:]:
        assert host.median_s is not None
        around = [
            table.median_s[row, column]
            for row, p in enumerate(table.publishers)
            for column, s in enumerate(table.subscribers)
            if host.host in (p, s)
        ]
        assert min(around) <= host.median_s <= max(around)


def test_warm_up_is_in_no_median(dumbbell: CellSummary) -> None:
    table = pair_latencies(dumbbell)
    assert table is not None
    assert dumbbell.warmup == 2 * WARMUP * 12
    assert table.count.sum() == len(dumbbell.ordered)
    assert (table.count == 2 * 20).all()


def test_hosts_are_not_guessed(tmp_path: Path) -> None:
    write_sweep(tmp_path, [topologies.linear(5)], models=["centralized"], events=1)
    (found,) = read_dataset(tmp_path).cells
    meta = dict(found.meta or {})
    assert host_latencies(summary_of(found)) is not None
    changes: list[dict[str, object]] = [{"topology": {}}, {"topology": "linear"}]
    for change in changes:
        assert host_latencies(cell([1.0], meta=meta | change)) is None
    assert host_latencies(cell([1.0], meta=meta, publishers=1)) is None
