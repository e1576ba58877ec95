"""Measure both dissemination models on Mininet hosts, and look at the result.

Shell, except `units`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubsub_perf.performance_test import (
        CentralizedPerformanceTest,
        DecentralizedPerformanceTest,
    )
    from pubsub_perf.results.loading import load

__version__ = "0.1.0"

__all__ = [
    "CentralizedPerformanceTest",
    "DecentralizedPerformanceTest",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    # On demand, so that the driver does not load what only sweeps need.
    if name in ("CentralizedPerformanceTest", "DecentralizedPerformanceTest"):
        from pubsub_perf import performance_test

        return getattr(performance_test, name)
    if name == "load":
        from pubsub_perf.results import loading

        return loading.load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
