"""The costs of events and clients, between and beyond the measured ones."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.capacity.costs import (
    MEASURED,
    EventCosts,
    MeasuredCosts,
    costs_for,
)
from pubsub_perf.capacity.registry_load import RegistryCosts, registry_load

SMALL = MeasuredCosts(100, 1000, EventCosts(4.0, 0.4))
LARGE = MeasuredCosts(1100, 1000, EventCosts(14.0, 2.4))


@pytest.mark.parametrize(
    ("size", "taken_us", "copy_us"),
    [
        (0, 4.0, 0.4),
        (100, 4.0, 0.4),
        (600, 9.0, 1.4),
        (1100, 14.0, 2.4),
        (2200, 28.0, 4.8),
    ],
)
def test_costs_lie_on_lines_between_measured_sizes(
    size: int, taken_us: float, copy_us: float
) -> None:
    found = costs_for(size, [LARGE, SMALL])
    assert found.taken_us == pytest.approx(taken_us)
    assert found.copy_us == pytest.approx(copy_us)
    assert found.ratio == pytest.approx(taken_us / copy_us)


def test_without_a_measurement_there_are_none() -> None:
    with pytest.raises(ConfigError, match="no costs"):
        costs_for(64, [])


def test_what_was_measured_makes_sense() -> None:
    for each in MEASURED:
        each.costs.validate()
        assert each.costs.ratio > 1


def test_the_registry_grows_with_the_clients() -> None:
    costs = RegistryCosts(
        mirror_bytes=1000, etcd_bytes=500, change_us=20, list_us=50, writes_per_s=2000
    )
    load = registry_load(10_000, 4, costs)
    assert load.mirror_bytes == 10_000_000
    assert load.etcd_bytes == 5_000_000
    assert load.list_s == pytest.approx(0.5)
    assert load.join_s == pytest.approx(5.0)
    assert load.failover_s == pytest.approx(1.25)
    assert load.change_us == 80
