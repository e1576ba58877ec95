"""The comparison of idle roles with those of another checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.bench import footprint_change
from pubsub_perf.bench.checkout import HERE, Checkout, checkout_at
from pubsub_perf.bench.footprint import idle_kib
from pubsub_perf.bench.footprint_change import changes_of, line_of
from pubsub_perf.hosts import etcd_program


def test_a_change_is_the_median_of_the_ratios_within_a_round() -> None:
    [memory] = changes_of(
        [
            ({"MiB": 20}, {"MiB": 10}),
            ({"MiB": 30}, {"MiB": 30}),
            ({"MiB": 9}, {"MiB": 9}),
        ]
    )

    assert memory.met
    assert line_of(memory) == (
        "bar footprint met   1.00 (1.00 to 2.00) <= 1.05  MiB: 20.00, base 10.00"
    )


def test_more_than_the_bound_is_not_met() -> None:
    [memory] = changes_of([({"MiB": 10.6}, {"MiB": 10})])

    assert not memory.met
    assert "MISS" in line_of(memory)


def test_this_checkout_is_another_one_to_itself() -> None:
    # Its environment is that of the Python that runs this.
    other = checkout_at(str(Path(sys.executable).parent.parent))

    assert Path(other.interpreter()).samefile(sys.executable)
    assert Path(other.program("pubsub-broker")).samefile(HERE.program("pubsub-broker"))
    assert other.command(["/usr/bin/pubsub-broker", "-i"]) == [
        other.program("pubsub-broker"),
        "-i",
    ]
    assert other.command(["redis-server"]) == ["redis-server"]
    environment = other.environment()
    assert environment is not None
    assert environment["PYTHONPATH"].split(":")[0].endswith("pubsub-perf/src")
    assert HERE.environment() is None


def test_a_folder_without_roles_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no environment with the roles"):
        checkout_at(str(tmp_path))


def test_idle_roles_of_another_checkout_are_weighed() -> None:
    other = Checkout(Path(sys.executable))

    assert set(idle_kib(checkout=other)) == {"broker", "publisher", "subscriber"}


def test_registrations_cost_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint_change, "_CLIENTS", 20)

    found = footprint_change._registrations(HERE)

    assert len(found) == 3
    assert all(value > 0 for name, value in found.items() if "memory" not in name)


def test_a_start_has_a_time_and_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint_change, "_STARTS", 1)

    found = footprint_change._start(HERE)

    assert len(found) == 6
    assert all(value > 0 for value in found.values())


def test_registrations_in_a_group_cost_time(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := etcd_program.unavailable():
        pytest.skip(missing)
    monkeypatch.setattr(footprint_change, "_GROUP_CLIENTS", 20)

    found = footprint_change._group_registrations(HERE)

    assert all(value > 0 for value in found.values())
