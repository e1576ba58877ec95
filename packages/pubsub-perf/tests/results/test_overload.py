"""Advice for a machine that could not keep up."""

from __future__ import annotations

from typing import Any

import pytest

from pubsub_perf.results.overload import overload_advice


def run(
    hosts: int, verdict: str, pressure: float | None = 70.0, used: float | None = 90.0
) -> dict[str, Any]:
    return {
        "topology": {"hosts": hosts},
        "parameters": {"interval_s": 0.1},
        "machine": {"cpus": 2},
        "fidelity": {
            "verdict": verdict,
            "pressure_percent": pressure,
            "utilisation_percent": used,
        },
    }


def test_nothing_is_advised_where_all_is_well() -> None:
    assert overload_advice([run(4, "ok"), None, {}]) == ()


def test_too_many_hosts_are_told_how_many_it_kept_up_with() -> None:
    runs = [run(4, "ok"), run(16, "ok"), run(64, "strained"), run(256, "saturated")]
    count, cause, remedies = overload_advice(runs)
    assert count.startswith("In 2 of 4 runs the machine was strained or saturated")
    assert cause == "The emulated hosts need more than this machine has: 2 processors."
    assert "with at most 16 hosts" in remedies
    assert "--interval 0.2, not 0.1" in remedies
    assert "more processors" in remedies


def test_hosts_that_it_kept_up_with_are_fewer_than_all_that_were_too_many() -> None:
    runs = [run(4, "saturated"), run(16, "ok")]
    assert "with fewer hosts" in overload_advice(runs)[-1]


def test_other_programs_are_named_as_the_cause() -> None:
    _, cause = overload_advice([run(4, "saturated", used=7.0)])
    assert cause.startswith("Other programs used the processors: the roles had 7 %")
    assert "others at least 63 %" in cause
    assert "--force" in cause


@pytest.mark.parametrize(
    ("pressure", "used"),
    [(30.0, 28.0), (93.0, 50.0), (70.0, None), (None, 7.0), (70.0, -25.0)],
)
def test_others_are_not_blamed_without_proof(
    pressure: float | None, used: float | None
) -> None:
    """Roles that work at the same instants wait for each other, and some runs are not
    measured."""
    measured = run(4, "saturated", pressure=70.0, used=7.0)
    advice = overload_advice([measured, run(4, "saturated", pressure, used)])
    lone = overload_advice([run(4, "saturated", pressure, used)])
    assert lone[1].startswith("The emulated hosts need more than this machine has")
    if None in (pressure, used) or (used or 0) < 0:
        assert advice[1:] == lone[1:]
        assert lone[1].endswith(": 2 processors, or other programs used them.")


@pytest.mark.parametrize(
    ("kind", "option"),
    [("mininet", ": --bandwidth 5."), ("local", "--hosts mininet --bandwidth 5.")],
)
def test_short_latencies_want_slower_links(kind: str, option: str) -> None:
    quick = run(4, "strained", pressure=3.0, used=5.0) | {"hosts": {"kind": kind}}
    assert overload_advice([quick])[-1].endswith(option)


def test_links_that_are_slow_are_to_be_slower() -> None:
    quick = run(4, "strained", pressure=3.0, used=5.0)
    quick |= {"parameters": {"bandwidth_mbit": 5}}
    assert overload_advice([quick])[-1].endswith(": --bandwidth 2.5.")


@pytest.mark.parametrize("odd", ["strained", {"verdict": "strained"}])
def test_a_record_without_figures_gets_general_advice(odd: object) -> None:
    count, cause, remedies = overload_advice([{"fidelity": odd}])
    assert count.startswith("In 1 of 1 run")
    assert cause == (
        "The emulated hosts need more than this machine has, or other programs used them."
    )
    assert remedies.startswith("Measure with fewer hosts")
