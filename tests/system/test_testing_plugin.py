"""The pytest plugin in suites of others: the examples in `docs/testing.md`, and errors."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.paths import DOCS

from pubsub_common.testing import wait_for

pytest_plugins = ["pytester"]

PAGE = DOCS / "testing.md"


def run(pytester: pytest.Pytester, code: str, *args: str) -> pytest.RunResult:
    """Run a suite of one file in its own process, with warnings as errors."""
    pytester.makepyfile(code)
    return pytester.runpytest_subprocess(
        "-W=error", "--strict-markers", "-p", "no:cacheprovider", *args, timeout=100
    )


def test_the_examples_of_the_page_work(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) == 2

    run(pytester, blocks[0]).assert_outcomes(passed=4)
    run(pytester, blocks[1]).assert_outcomes(passed=1)


def test_the_fixtures_and_the_marker_are_told_of(pytester: pytest.Pytester) -> None:
    told = run(pytester, "", "--fixtures").stdout.str()
    for name in ("pubsub_broker", "pubsub_publisher", "pubsub_subscriber"):
        assert f"\n{name} -- " in told
    assert "@pytest.mark.pubsub_broker(" in run(pytester, "", "--markers").stdout.str()


def test_a_suite_that_uses_no_fixture_loads_nothing(pytester: pytest.Pytester) -> None:
    code = """
    import sys

    def test_what_is_loaded():
        assert "pubsub_common.testing.plugin" in sys.modules
        heavy = {"zmq", "msgspec", "asyncio", "pubsub_broker", "pubsub_common.protocol.events"}
        assert not heavy & set(sys.modules)
    """
    # Other plugins may load anything; only this one is here.
    pytester.makepyfile(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pubsub_common.testing.plugin"],
        cwd=pytester.path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout


def test_without_pytest_the_rest_of_testing_can_be_used() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import pubsub_common.testing, pubsub_common.testing.background"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("role", ["broker", "publisher", "subscriber"])
def test_a_package_that_is_missing_is_named(
    pytester: pytest.Pytester, role: str
) -> None:
    pytester.makeconftest(f"import sys; sys.modules['pubsub_{role}'] = None")
    result = run(pytester, f"def test_it(pubsub_{role}): pass")

    result.assert_outcomes(errors=1)
    told = (
        f"the fixture pubsub_{role} needs the package pubsub-{role}: "
        f"python -m pip install pubsub-{role}"
    )
    assert told in result.stdout.str()


@pytest.mark.parametrize("args", ["'central'", "model='central'", "1, 2"])
def test_another_model_is_refused(pytester: pytest.Pytester, args: str) -> None:
    result = run(
        pytester,
        f"""
        import pytest

        @pytest.mark.pubsub_broker({args})
        def test_it(pubsub_broker): pass
        """,
    )
    result.assert_outcomes(errors=1)
    assert "is 'centralized' or 'decentralized'" in result.stdout.str()


def test_all_ends_with_the_test(pytester: pytest.Pytester) -> None:
    code = """
    import threading
    import pytest

    @pytest.mark.pubsub_broker("centralized", forwarders=2)
    def test_roles(pubsub_publisher, pubsub_subscriber, pubsub_broker):
        pubsub_subscriber("A", "B", max_event_count=3)
        pubsub_publisher("A").wait_for_subscribers(1, 60)
        assert pubsub_broker.centralized
        assert [t for t in threading.enumerate() if t.name.startswith("pubsub")]

    def test_afterwards():
        assert not [t for t in threading.enumerate() if t.name.startswith("pubsub")]
    """
    run(pytester, code).assert_outcomes(passed=2)


def test_a_broker_that_fails_fails_the_test(pytester: pytest.Pytester) -> None:
    code = """
    from pubsub_broker import Broker

    def fail(self):
        raise RuntimeError("the loop ended")

    def test_it(monkeypatch, request):
        monkeypatch.setattr(Broker, "event_loop", fail)
        request.getfixturevalue("pubsub_broker")
    """
    result = run(pytester, code)
    result.assert_outcomes(passed=1, errors=1)
    assert "the loop ended" in result.stdout.str()


def test_wait_for_returns_when_it_is_so_and_names_what_did_not_happen() -> None:
    answers = iter([0, "", True])
    wait_for(lambda: next(answers))
    with pytest.raises(AssertionError, match="the flood did not come true within 0 s"):
        wait_for(lambda: False, "the flood", 0)
