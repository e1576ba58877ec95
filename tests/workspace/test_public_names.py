"""What users import and run stays where it is, and starts with little."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "pubsub_broker": {"Broker": "pubsub_broker.broker"},
    "pubsub_publisher": {"Publisher": "pubsub_publisher.publisher"},
    "pubsub_subscriber": {"Subscriber": "pubsub_subscriber.subscriber"},
    "pubsub_perf": {
        "CentralizedPerformanceTest": "pubsub_perf.performance_test",
        "DecentralizedPerformanceTest": "pubsub_perf.performance_test",
        "load": "pubsub_perf.results.loading",
    },
}
ELSEWHERE = (
    *("pubsub_publisher.aio.Publisher", "pubsub_subscriber.aio.Subscriber"),
    *("pubsub_common.Event", "pubsub_common.Batch", "pubsub_common.Counts"),
    *("pubsub_common.Gap", "pubsub_common.LatencyHistogram"),
    *("pubsub_common.PublisherInfo", "pubsub_common.errors.PubSubError"),
    *("pubsub_common.defaults.WAIT_SLICE_S", "pubsub_common.testing.wait_for"),
)
ROLES = ("pubsub_broker", "pubsub_publisher", "pubsub_subscriber")


@pytest.mark.parametrize("package", NAMES)
def test_the_names_are_at_the_top_of_their_package(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == {*NAMES[package], "__version__"}
    for name, home in NAMES[package].items():
        assert getattr(module, name).__module__ == home


@pytest.mark.parametrize("path", ELSEWHERE)
def test_names_that_are_documented_exist(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", [*NAMES, "pubsub_common"])
def test_a_name_that_does_not_exist_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = importlib.import_module(package).Nothing


@pytest.mark.parametrize("package", ROLES)
def test_help_does_not_load_zeromq(package: str) -> None:
    code = (
        "import atexit, sys\n"
        f"from {package}.cli import main\n"
        "atexit.register(lambda: print('loaded:', 'zmq' in sys.modules))\n"
        "main(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert f"Usage:\n  {package.replace('_', '-')} " in done.stdout
    assert done.stdout.endswith("loaded: False\n")
