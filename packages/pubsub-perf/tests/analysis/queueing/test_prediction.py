"""The broker as a queue: waits, costs, predictions, and what cannot be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pubsub_perf.analysis.queueing import prediction, stations
from pubsub_perf.analysis.queueing.broker_load import BrokerLoad, broker_load
from pubsub_perf.analysis.queueing.broker_model import Broker, curve, far, full_at
from pubsub_perf.analysis.queueing.prediction import queueing_view
from pubsub_perf.analysis.queueing.stations import (
    CellCost,
    Load,
    Station,
    periodic_wait,
)
from pubsub_perf.analysis.stats.bootstrap import Resampling

HOW = Resampling(1, 100)
STATION = Station(40e-6, 8e-6)


def simulated_wait(sources: int, utilisation: float, draws: int = 4000) -> float:
    """Lindley's recursion over two periods of periodic arrivals."""
    source = np.random.default_rng(1)
    period = sources / utilisation
    phases = np.sort(source.random((draws, sources)), axis=1) * period
    wait, before = np.zeros(draws), phases[:, -1] - period
    for _ in range(2):
        total = 0.0
        for i in range(sources):
            wait = np.maximum(0.0, wait + 1 - (phases[:, i] - before))
            before = phases[:, i]
            total += float(wait.mean())
        before = before - period
    return total / sources


@pytest.mark.parametrize(("sources", "use"), [(2, 0.5), (8, 0.8), (30, 0.97)])
def test_periodic_sources_wait_as_simulated(sources: int, use: float) -> None:
    assert periodic_wait(sources, use) == pytest.approx(
        simulated_wait(sources, use), rel=0.06
    )


def test_many_periodic_sources_wait_like_random_ones() -> None:
    assert periodic_wait(5000, 0.5) == pytest.approx(0.5, rel=0.01)
    assert periodic_wait(1, 0.9) == 0.0
    assert periodic_wait(20, 0.9) < 0.9 / (2 * 0.1)


def test_random_arrivals_wait_by_pollaczek_and_khinchine() -> None:
    load = Load(events_per_s=5000.0, fanout=10.0)
    service_s = 120e-6
    assert STATION.utilisation(load) == pytest.approx(0.6)
    wait_s = 5000 * service_s**2 / (2 * 0.4)
    assert STATION.sojourn_s(load) == pytest.approx(wait_s + 40e-6 + 8e-6 * 5.5)


def test_a_full_station_has_no_steady_state() -> None:
    load = Load(events_per_s=10_000.0, fanout=10.0)
    assert STATION.sojourn_s(load) is None
    assert stations.sojourn_s([STATION], load) is None
    assert stations.sojourn_s([], load) is None


def test_the_slowest_station_queues() -> None:
    load = Load(events_per_s=100.0, fanout=4.0)
    link = Station(0.0, 1e-3)
    alone = link.sojourn_s(load)
    assert alone is not None
    through = stations.sojourn_s([STATION, link], load)
    assert through == pytest.approx(alone + 48e-6)


@pytest.mark.parametrize("background", [0.0, 0.004])
def test_costs_are_told_apart(background: float) -> None:
    source = np.random.default_rng(1)
    cells = [
        CellCost(
            fanout,
            (39e-6 + 7.1e-6 * fanout + background * seconds)
            * source.lognormal(0, 0.01, 5),
            seconds,
        )
        for fanout, seconds in ((1, 0.02), (2, 0.01), (4, 0.01), (8, 3e-3), (16, 2e-3))
    ]
    found = stations.fit_cost(cells, HOW, "cpu")
    assert found.background is not None
    for estimate, truth in (
        (found.per_event, 39e-6),
        (found.per_delivery, 7.1e-6),
        (found.background, background),
    ):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low - 1e-12 <= truth <= estimate.high + 1e-12


def test_few_cells_have_no_background() -> None:
    cells = [CellCost(f, (39e-6 + 7e-6 * f) * np.ones(3), 0.01) for f in (1.0, 8.0)]
    found = stations.fit_cost(cells, HOW, "cpu")
    assert found.background is None
    assert found.per_event.value == pytest.approx(39e-6)
    assert found.per_delivery.value == pytest.approx(7e-6)


def meta(hosts: int, **changes: Any) -> dict[str, Any]:
    """A run of a broker that needs 40 us for an event and 8 us for a delivery."""
    subscribers = (hosts - 1) // 2
    publishers = hosts - 1 - subscribers
    events = 50 * publishers
    found: dict[str, Any] = {
        "hosts": {"publishers": ["x"] * publishers},
        "parameters": {"interval_s": 0.05, "bandwidth_mbit": 5.0, "topics": 1},
        "broker": {
            "events": events,
            "deliveries": events * subscribers,
            "cpu_s": events * (40e-6 + 8e-6 * subscribers),
            "tx_bytes": events * subscribers * 150,
        },
        "measured_s": 2.5,
    }
    return found | changes


def load(hosts: int, mean_s: float | None = 1e-3, **changes: Any) -> BrokerLoad:
    found = broker_load(
        f"net-{hosts}hosts",
        "single-switch",
        hosts,
        [meta(hosts, **changes)] * 3,
        [] if mean_s is None else [mean_s] * 3,
        [] if mean_s is None else [mean_s] * 3,
        counted=True,
    )
    assert found is not None
    return found


def test_a_load_is_what_cell_json_says() -> None:
    found = load(9)
    assert (found.fanout, found.events_per_s) == (4.0, 80.0)
    assert found.cpu_s.tolist() == pytest.approx([72e-6] * 3)
    assert found.sent_bytes.tolist() == pytest.approx([600.0] * 3)
    assert found.arrivals.periodic == 4
    assert found.random_arrivals.periodic is None


def test_publishers_at_random_times_have_one_prediction() -> None:
    parameters = {
        "interval_s": 0.05,
        "bandwidth_mbit": 5.0,
        "topics": 1,
        "arrivals": "poisson",
    }
    loads = [load(n, parameters=parameters) for n in (5, 9, 17, 25)]
    assert [each.arrivals for each in loads] == [each.random_arrivals for each in loads]

    view = queueing_view([*loads, load(9)], HOW)

    assert [point.network for point in view.points] == [each.network for each in loads]
    assert view.curve
    assert not view.curve_periodic
    assert all(point.predicted_periodic_s is None for point in view.points)
    assert all(far.predicted_periodic_s is None for far in view.extrapolations)
    assert any("at random times" in said for said in view.assumptions)


def test_without_an_interval_the_rate_is_counted() -> None:
    found = load(9, parameters={})
    assert found.events_per_s == 200 / 2.5
    assert found.arrivals.periodic is None


@pytest.mark.parametrize(
    "broken", [{}, {"events": 0, "deliveries": 0}, {"events": "x", "deliveries": 1}, []]
)
def test_a_cell_json_without_counts_gives_no_load(broken: Any) -> None:
    about = meta(9) | {"broker": broken}
    assert broker_load("n", "k", 9, [about], [], [], counted=True) is None
    assert broker_load("n", "k", 9, [], [], [], counted=True) is None


def test_a_missing_figure_does_not_hide_the_others() -> None:
    found = load(9, broker={"events": 10, "deliveries": 40, "tx_bytes": 9000})
    assert len(found.cpu_s) == 0
    assert found.sent_bytes.tolist() == [900.0] * 3


def test_the_view_predicts_every_cell() -> None:
    view = queueing_view([load(n) for n in (5, 9, 17, 25)], HOW)
    assert view.per_event_s is not None
    assert view.per_delivery_s is not None
    assert view.per_event_s.value == pytest.approx(40e-6)
    assert view.per_delivery_s.value == pytest.approx(8e-6)
    assert view.bytes_per_delivery == pytest.approx(150)
    assert view.link_per_delivery_s == pytest.approx(150 * 8 / 5e6)
    assert [point.hosts for point in view.points] == [5, 9, 17, 25]
    first = view.points[0]
    assert first.calibrated
    assert first.predicted_periodic_s == pytest.approx(first.measured_mean_s)
    for point in view.points:
        assert point.cpu_utilisation == pytest.approx(
            point.events_per_s * (40e-6 + 8e-6 * point.fanout)
        )
        assert point.link_utilisation == pytest.approx(
            point.events_per_s * point.fanout * 240e-6
        )
        assert point.predicted_s is not None
        assert point.predicted_periodic_s is not None
        assert point.predicted_s >= point.predicted_periodic_s
    assert len(view.curve) == len(view.curve_periodic) > 10
    assert view.missing == ()


def test_the_extrapolation_says_what_it_assumes() -> None:
    view = queueing_view([load(n) for n in (5, 9, 17)], HOW)
    assert view.full_at_hosts is not None
    assert 25 < view.full_at_hosts < 35  # (n / 2)^2 x 20/s x 240 us = 1
    assert [item.hosts for item in view.extrapolations] == [1000, 10_000]
    for item in view.extrapolations:
        assert item.predicted_s is None
        assert "more than it can do" in item.sentence
    assert any("Poisson" in text or "Random" in text for text in view.assumptions)
    assert any("5 Mbit/s" in text for text in view.assumptions)


def test_a_shaper_ahead_of_the_prediction_is_explained() -> None:
    fast = queueing_view([load(n, mean_s=1e-5) for n in (5, 9)], HOW)
    assert fast.fixed_s == 0.0
    (said,) = fast.missing
    assert "sends the first packet of an idle link at once" in said
    assert "a packet (240 µs)" in said
    assert any("on credit" in text for text in fast.assumptions)
    unshaped = {"interval_s": 0.05, "topics": 1}
    free = queueing_view(
        [load(n, mean_s=1e-5, parameters=unshaped) for n in (5, 9)], HOW
    )
    assert "Even the least used cell is faster than predicted." in free.missing
    assert not any("on credit" in text for text in free.assumptions)


def test_a_broker_with_room_is_predicted_far_out() -> None:
    broker = Broker(STATION, None, None, interval_s=1000.0, topics=1)
    found = far(broker, 1000, 1e-3)
    assert found.predicted_s is not None
    assert found.predicted_s > 1e-3 + 40e-6 + 8e-6 * 250
    assert found.link_utilisation is None
    assert full_at(Broker(STATION, None, None, 1e12, 1)) is None
    assert curve([5, 50], broker, 1e-3, periodic=True)[-1].hosts == 50


def test_a_broker_fed_too_fast_is_overloaded() -> None:
    busy = load(41)
    assert prediction.is_overloaded(busy)
    assert not prediction.is_overloaded(load(9))
    view = queueing_view([load(5), load(9), busy], HOW)
    assert view.points[-1].predicted_s is None
    assert view.points[-1].note.startswith("overloaded")


def test_what_is_missing_is_said() -> None:
    assert (
        "No finished centralized cell has a record" in queueing_view([], HOW).missing[0]
    )
    one = queueing_view([load(9)], HOW)
    assert any("different numbers of subscribers" in text for text in one.missing)
    assert one.extrapolations == ()
    unshaped = {"interval_s": 0.05, "topics": 1}
    free = queueing_view([load(n, parameters=unshaped) for n in (5, 17)], HOW)
    assert any("not limited" in text for text in free.missing)
    assert free.link_per_delivery_s is None
    assert free.points[0].link_utilisation is None
    dark = queueing_view([load(n, mean_s=None) for n in (5, 17)], HOW)
    assert dark.fixed_s is None
    assert dark.points[0].predicted_s is None


def test_cells_under_another_load_are_not_mixed_in() -> None:
    other = {"interval_s": 0.5, "bandwidth_mbit": 5.0, "topics": 1}
    view = queueing_view([load(5), load(9), load(17, parameters=other)], HOW)
    assert [point.hosts for point in view.points] == [5, 9]
    assert "Not shown: 1 cell under another load." in view.missing
