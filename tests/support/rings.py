"""The ring of each test: decided by the place of its file, not by a decorator.

`make test` runs the rings ``core`` and ``socket``, `make test-system` the ring
``system``, `make chaos-short` the ring ``chaos``. `make test-long` runs those that are
also marked ``long``, at full size. CONTRIBUTING.md says when to run which.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from support.layers import FILES, is_core
from support.paths import ROOT

RINGS: Final = ("core", "socket", "system", "chaos")
LONG: Final = "long"

# The first match counts.
_SYSTEM: Final = (
    "tests/system",
    "tests/docs",
    "tests/packaging",
    "packages/pubsub-perf/tests/bench/test_bench_runs.py",
    "packages/pubsub-perf/tests/bench/test_group_runs.py",
    "packages/pubsub-perf/tests/experiment/test_sweep.py",
    "packages/pubsub-perf/tests/hosts/test_mininet.py",
)
_CHAOS: Final = ("tests/chaos/test_chaos.py",)
_CORE: Final = ("tests/chaos", "tests/fuzz")

# Run at a small size everywhere, and at full size by `make test-long`.
_LONG: Final = (
    "tests/chaos/test_chaos.py",
    "tests/fuzz",
    "tests/system/cluster/test_broker_faults.py",
    "tests/system/cluster/test_crowd.py",
    "tests/system/cluster/test_etcd_outages.py",
    "tests/system/cluster/test_meeting.py",
    "tests/system/cluster/test_owner_failover.py",
    "tests/system/cluster/test_partition.py",
    "tests/system/lab/test_deploy.py",
    "tests/system/lab/test_lab_faults.py",
    "tests/system/life/test_interrupts.py",
    "tests/system/test_conformance_faults.py",
    "tests/system/test_first_events.py",
    "packages/pubsub-perf/tests/analysis/test_synthetic_truth.py",
    "packages/pubsub-perf/tests/bench/test_bench_runs.py",
    "packages/pubsub-perf/tests/plots/test_figure_text.py",
)
# These need Mininet; without it they are skipped, and fail under CI.
_MININET: Final = ("packages/pubsub-perf/tests/hosts/test_mininet.py",)

# These share objects that take seconds to make, and so run in one process.
_TOGETHER: Final = (
    "packages/pubsub-perf/tests/plots/test_figure_text.py",
    "packages/pubsub-perf/tests/report/test_browser.py",
    "packages/pubsub-perf/tests/report/test_browser_analysis.py",
    "packages/pubsub-perf/tests/report/test_writer.py",
    "tests/docs/test_docs_site.py",
    "tests/packaging/test_wheels.py",
    "tests/workspace/test_module_strings.py",
)

LISTED: Final = (*_SYSTEM, *_CHAOS, *_CORE, *_LONG, *_MININET, *_TOGETHER)


def full_size() -> bool:
    """Whether tests run at the size of `make test-long`."""
    return os.environ.get("PUBSUB_TESTS") == "long"


def examples(count: int) -> int:
    """The number of Hypothesis examples of a test that normally has ``count``."""
    return 10 * count if full_size() else count


def marks_of(path: Path, fixtures: Iterable[str]) -> list[str]:
    """The marks of a test in this file that uses these fixtures; its ring comes first."""
    name = path.relative_to(ROOT).as_posix()
    marks = ["system" if "browser" in fixtures else _ring_of(name)]
    if _is_in(name, _LONG):
        marks.append(LONG)
    if _is_in(name, _MININET):
        marks.append("mininet")
    return marks


def group_of(nodeid: str) -> str | None:
    """Tests of a group run in one process of those that run tests in parallel."""
    name = nodeid.partition("::")[0]
    return name if _is_in(name, _TOGETHER) else None


def _is_in(name: str, paths: tuple[str, ...]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)


def _ring_of(name: str) -> str:
    if _is_in(name, _SYSTEM):
        return "system"
    if _is_in(name, _CHAOS):
        return "chaos"
    if _is_in(name, _CORE):
        return "core"
    return "core" if _tests_core(name) else "socket"


def _tests_core(name: str) -> bool:
    """Whether the module that a file tests is core; its folder, where the file tests no
    single module: ``packages/pubsub-x/tests/f/test_m.py`` tests ``pubsub_x.f.m``."""
    top, package, *_ = parts = Path(name).parts
    if top != "packages":
        return False
    folder = ".".join([package.replace("-", "_"), *parts[3:-1]])
    module = f"{folder}.{Path(name).stem.removeprefix('test_')}"
    return f"{folder}.__init__" in FILES and is_core(module)
