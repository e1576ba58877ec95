"""Each test is in the ring that its place says."""

from __future__ import annotations

import tomllib

import pytest
from support import rings
from support.paths import ROOT


@pytest.mark.parametrize("path", sorted(set(rings.LISTED)))
def test_what_is_listed_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    ("path", "marks"),
    [
        ("packages/pubsub-broker/tests/control/test_core.py", ["core"]),
        ("packages/pubsub-broker/tests/control/test_core_with_clients.py", ["core"]),
        ("packages/pubsub-broker/tests/forwarding/test_draining.py", ["core"]),
        ("packages/pubsub-broker/tests/forwarding/test_sockets.py", ["socket"]),
        ("packages/pubsub-broker/tests/test_broker.py", ["socket"]),
        ("packages/pubsub-perf/tests/hosts/test_mininet.py", ["system", "mininet"]),
        ("tests/system/test_pipes.py", ["system"]),
        ("tests/chaos/test_judge.py", ["core"]),
        ("tests/chaos/test_chaos.py", ["chaos", "long"]),
        ("tests/workspace/test_rings.py", ["socket"]),
    ],
)
def test_the_ring_follows_from_the_place(path: str, marks: list[str]) -> None:
    assert (ROOT / path).exists()
    assert rings.marks_of(ROOT / path, []) == marks


def test_what_opens_a_browser_is_a_whole_system() -> None:
    path = ROOT / "packages/pubsub-broker/tests/monitoring/test_status_page.py"
    assert rings.marks_of(path, ["tmp_path"]) == ["socket"]
    assert rings.marks_of(path, ["browser"]) == ["system"]


def test_tests_that_share_what_is_slow_to_make_run_in_one_process() -> None:
    wheels = "tests/packaging/test_wheels.py"
    assert rings.group_of(f"{wheels}::test_it[broker]") == wheels
    assert rings.group_of("packages/pubsub-broker/tests/test_cli.py::test_it") is None


def test_pytest_knows_all_marks() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    known = settings["tool"]["pytest"]["ini_options"]["markers"]
    names = {line.partition(":")[0] for line in known}
    assert names == {*rings.RINGS, rings.LONG, "attack", "mininet"}
