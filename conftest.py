"""What every test of the workspace begins with.

Where Mininet or a browser cannot run, their tests are skipped and say why. Under CI they
fail, because there a skipped test would go unnoticed.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, Phase, settings
from support import rings
from support.broker_process import BrokerProcess
from support.keeping_context import KeepingContext
from support.perf_browser import Browser, find_browser

from pubsub_common.net.contexts import terminate_context
from pubsub_perf.experiment import one_sweep
from pubsub_perf.hosts import namespaces

# `nohup` and shells without job control have what they start ignore these signals, and that is
# inherited: but tests send them to roles, which would not end.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Never fail for being slow on a busy machine, and always try the same examples: a change is
# not refused for what another run does not find. `make test-long` tries others, and more.
settings.register_profile(
    "pubsub",
    deadline=None,
    derandomize=not rings.full_size(),
    max_examples=rings.examples(100),
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    # Of a failure with many steps the explanation takes longer than a test may.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)
settings.load_profile("pubsub")

# Sweeps of tests need not measure well: those of other processes do not refuse them.
os.environ[one_sweep.LOCK_VARIABLE] = f"tests-{os.getpid()}"


def pytest_itemcollected(item: pytest.Item) -> None:
    fixtures = getattr(item, "fixturenames", ())
    for mark in rings.marks_of(item.path, fixtures):
        item.add_marker(mark)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each test to any process that is free, but those of some files to one. The
    groups of pytest-xdist 3.8 (``--dist loadgroup``) have no effect under pytest 9."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return rings.group_of(nodeid) or nodeid

    return Scheduling(config, log)


_LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def _logging_as_at_the_start() -> Iterator[None]:
    """A program's `main` sets logging up for the whole process: neither the last test
    nor a fixture of a whole module may keep this one from getting log records."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    logging.disable(logging.NOTSET)
    root.setLevel(_LEVEL)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("pubsub") and isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
    yield
    root.handlers[:] = handlers
    root.setLevel(_LEVEL)


@pytest.fixture(scope="session")
def _mininet_reason() -> str | None:
    return namespaces.unavailable()


@pytest.fixture(autouse=True)
def _mininet_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("mininet") is None:
        return
    reason = request.getfixturevalue("_mininet_reason")
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"Mininet cannot run in CI: {reason}")
    pytest.skip(f"Mininet cannot run here: {reason}")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a new profile, for all tests that ask for one."""
    program = find_browser()
    if program is None:
        why = "there is no Chromium (make browser installs it)"
        if os.environ.get("CI"):
            pytest.fail(f"no browser in CI: {why}")
        pytest.skip(f"no browser here: {why}")
    profile = tmp_path_factory.mktemp("browser") / "profile"
    profile.mkdir()
    with Browser(program, profile) as browser:
        yield browser


@pytest.fixture
def broker_process() -> Iterator[Callable[..., BrokerProcess]]:
    """Starts brokers, and ends them after the test."""
    started: list[BrokerProcess] = []

    def start(*words: str, code: str | None = None) -> BrokerProcess:
        started.append(BrokerProcess(*words, code=code))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that is gone after the test, with all its sockets."""
    context = KeepingContext()
    yield context
    for socket in context.kept:
        socket.close(linger=0)
    terminate_context(context)


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """The root logger as it was, after a program has set up logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
