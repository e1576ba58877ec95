"""Groups of three brokers on three servers of etcd, with clients in their own processes
that log what they publish and receive."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_group import GroupSystem
from support.etcd_servers import EtcdCluster, etcd_cluster
from support.rings import full_size

from pubsub_common.protocol.messages import Model

NewGroup = Callable[..., GroupSystem]

# The lease of clients. The bars of the long form are for 6 s.
LEASE_S = 6.0 if full_size() else 2.0
# The longest time that etcd's lease keeps the clients of a dead broker: two of their
# leases, and one of the broker.
CLIENTS_S = 2 * LEASE_S + 3.0
# Only a failing test waits this long.
_WAIT_S = 60.0
# Of a test in its long form: outages of a minute, the leader killed ten times.
_LONG_TEST_S = 900.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in their long form the necessary timeout."""
    if not full_size():
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(_LONG_TEST_S))


def within(bar_s: float) -> float:
    """The limit for a duration: the bar in the long form, and a generous time when
    other tests run in parallel."""
    return bar_s if full_size() else _WAIT_S


def size(short: int, full: int) -> int:
    """A number that depends on the form."""
    return full if full_size() else short


@pytest.fixture(params=["centralized", "decentralized"])
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three servers of the test's own."""
    folder = tmp_path / "etcd"
    folder.mkdir()
    with etcd_cluster(folder, 3) as cluster:
        yield cluster


@pytest.fixture
def new_group(model: Model, etcd: EtcdCluster, tmp_path: Path) -> Iterator[NewGroup]:
    """Makes a group with brokers that do not run yet; it ends with the test. If the
    broker forwards, publishers have a history and subscribers recover, as otherwise
    events may be lost."""
    with contextlib.ExitStack() as stack:

        def new(**options: Any) -> GroupSystem:
            given = {"recover": model == "centralized", "lease_s": LEASE_S} | options
            group = GroupSystem(tmp_path, model, random.Random(1), etcd=etcd, **given)
            return stack.enter_context(group)

        yield new
