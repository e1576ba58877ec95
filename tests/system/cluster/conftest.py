"""Groups of three brokers on three servers of etcd, with clients in processes of their own
that write down what they publish and receive."""

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

# Of clients. The bars of the long form are for 6 s.
LEASE_S = 6.0 if full_size() else 2.0
# How long etcd's lease holds the clients of a broker that is gone, at most: two leases of
# theirs, and that of a broker.
CLIENTS_S = 2 * LEASE_S + 3.0
# Only a failing test waits for so long.
_WAIT_S = 45.0
# Of a test in its long form: outages of a minute, the leader killed ten times.
_LONG_TEST_S = 900.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in their long form the time that they need."""
    if not full_size():
        return
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(_LONG_TEST_S))


def within(bar_s: float) -> float:
    """How long something may take: as a bar has it in the long form, and generously where
    other tests run beside."""
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
    """Makes a group whose brokers do not run yet; it ends with the test. Where the broker
    forwards, publishers have a history and subscribers recover: it is then that nothing may
    be lost."""
    with contextlib.ExitStack() as stack:

        def new(**options: Any) -> GroupSystem:
            given = {"recover": model == "centralized", "lease_s": LEASE_S} | options
            group = GroupSystem(tmp_path, model, random.Random(1), etcd=etcd, **given)
            return stack.enter_context(group)

        yield new
