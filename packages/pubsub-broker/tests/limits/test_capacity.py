"""The open files that a broker needs, and how it uses the limits."""

from __future__ import annotations

import resource
import sys

import pytest

from pubsub_broker.limits.capacity import (
    Capacity,
    allocate,
    clients_allowed,
    clients_per_address,
    files_of_broker,
    need_of,
    warning,
)
from pubsub_common.defaults import MAX_CLIENTS

UNLIMITED = resource.RLIM_INFINITY


class Limits:
    """The process's limits that the module can see."""

    def __init__(self, soft: int, hard: int, cap: int | None = None) -> None:
        self.now = (soft, hard)
        self.cap = cap

    def getrlimit(self, _what: int) -> tuple[int, int]:
        return self.now

    def setrlimit(self, _what: int, limits: tuple[int, int]) -> None:
        if self.cap is not None and limits[0] > self.cap:
            raise ValueError("not allowed")
        self.now = limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    limits = Limits(1024, 4096)
    monkeypatch.setattr(resource, "getrlimit", limits.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", limits.setrlimit)
    return limits


def test_each_client_needs_a_connection_and_one_per_forwarder() -> None:
    assert need_of(100, forwarders=0).files < need_of(100, forwarders=1).files
    assert (
        need_of(200, forwarders=3).files - need_of(100, forwarders=3).files == 4 * 100
    )


def test_a_publisher_of_a_secure_broker_needs_a_socket_at_each_forwarder() -> None:
    few, many = (need_of(clients, forwarders=3, secure=True) for clients in (100, 200))

    assert many.files - few.files == 7 * 100
    assert need_of(100, forwarders=0, secure=True) == need_of(100, forwarders=0)


@pytest.mark.parametrize("forwarders", [0, 1, 4])
def test_what_is_enough_for_so_many_is_enough_for_so_many(forwarders: int) -> None:
    need = need_of(77, forwarders=forwarders)

    assert need.clients_in(need.files) == 77
    assert need.clients_in(need.files - 1) == 76
    assert need.clients_in(0) == 0


def test_too_low_a_limit_is_told_with_what_it_is_enough_for_and_what_to_do() -> None:
    need = need_of(1000, forwarders=1)

    said = warning(need, 1100)

    assert said is not None
    assert "1100 open files are enough for 500 clients, not for 1000" in said
    assert str(need.files) in said
    assert "ulimit -n" in said
    assert "\n" not in said
    assert warning(need, need.files) is None
    assert warning(need, sys.maxsize) is None


def test_the_clients_that_were_asked_for_are_kept_with_a_warning(
    limits: Limits,
) -> None:
    clients, said = clients_allowed(5000, forwarders=1)

    assert clients == 5000
    assert said is not None
    assert limits.now == (4096, 4096)


def test_no_more_is_taken_than_needed(limits: Limits) -> None:
    assert clients_allowed(1000, forwarders=1) == (1000, None)
    assert limits.now == (need_of(1000, forwarders=1).files, 4096)


def test_the_default_is_what_the_files_are_enough_for(limits: Limits) -> None:
    clients, said = clients_allowed(None, forwarders=1)

    assert said is None
    assert clients == need_of(MAX_CLIENTS, forwarders=1).clients_in(4096)


def test_few_files_serve_some_clients(limits: Limits) -> None:
    limits.now = (64, 64)

    clients, said = clients_allowed(None, forwarders=0)

    assert said is None
    assert clients == (64 - files_of_broker(forwarders=0)) // 2


def test_the_default_is_the_default_where_there_is_room(limits: Limits) -> None:
    limits.now = (1024, UNLIMITED)

    assert clients_allowed(None, forwarders=1) == (MAX_CLIENTS, None)


def test_a_kernel_that_says_no_is_believed(limits: Limits) -> None:
    limits.cap = 1024

    clients, said = clients_allowed(2000, forwarders=0)

    assert clients == 2000
    assert "1024 open files" in str(said)
    assert limits.now == (1024, 4096)


@pytest.mark.parametrize(
    ("asked", "clients", "share"),
    [
        (None, 10_000, 5000),
        (None, 50_000, 25_000),
        (None, 1500, 1000),
        (None, 300, 300),
        (7, 10_000, 7),
        (20_000, 10_000, 10_000),
    ],
)
def test_one_address_has_half_of_the_clients_if_nobody_says(
    asked: int | None, clients: int, share: int
) -> None:
    assert clients_per_address(asked, clients) == share


@pytest.mark.parametrize(
    ("forwarders", "secure", "sockets"),
    [(0, False, None), (2, False, None), (0, True, None), (2, True, 1200)],
)
def test_a_secure_broker_has_a_socket_for_each_publisher_at_each_forwarder(
    forwarders: int, secure: bool, sockets: int | None
) -> None:
    capacity = allocate(100, None, forwarders=forwarders, secure=secure)

    assert capacity == Capacity(clients=100, per_address=100, sockets=sockets)


def test_too_few_open_files_are_logged(
    limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    assert allocate(5000, None, forwarders=1, secure=False).clients == 5000

    [line] = caplog.messages
    assert "4096 open files are enough" in line
