"""A report of all clients, in pages."""

from __future__ import annotations

import random

import pytest

from pubsub_broker.control import status_pages
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.registry.snapshot import Snapshot, SnapshotClient
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import ClientStatus, Disconnect, StatusRequest
from pubsub_common.protocol.versions import VERSIONS

PAGE_BYTES = 1000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_pages, "STATUS_PAGE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(status_pages, "STATUS_WHOLE_BYTES", 4 * PAGE_BYTES)


def core_with(clients: int, topics: int = 1) -> BrokerCore:
    numbers = random.Random(1)
    core = BrokerCore(
        "decentralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=6.0,
        new_session=lambda: numbers.getrandbits(53),
    )
    for number in range(clients):
        registration = messages.Register(
            id=1,
            versions=VERSIONS,
            role="subscriber",
            topics=[f"topic-{each}" for each in range(topics)],
            address="10.0.0.1",
            clock="realtime",
        )
        core.register(b"%d" % number, registration, 0.0)
    return core


def pages_of(core: BrokerCore) -> list[messages.Status]:
    pages = [core.status(StatusRequest(id=1, from_session=0), 1.0)]
    while pages[-1].next_session is not None:
        request = StatusRequest(id=1, from_session=pages[-1].next_session)
        pages.append(core.status(request, 1.0))
    return pages


def sessions(clients: list[ClientStatus]) -> list[int]:
    return [client.session for client in clients]


def test_pages_have_each_client_once_in_the_order_of_sessions() -> None:
    core = core_with(100)

    pages = pages_of(core)

    assert len(pages) > 5
    assert all(len(messages.encode(page)) < 1.2 * PAGE_BYTES for page in pages)
    found = [session for page in pages for session in sessions(page.clients)]
    assert len(found) == 100
    assert found == sorted(set(found))


def test_a_client_that_fills_more_than_a_page_has_one() -> None:
    pages = pages_of(core_with(3, topics=500))

    assert [len(page.clients) for page in pages] == [1, 1, 1]


def test_without_pages_a_report_is_whole_where_that_is_possible() -> None:
    few = core_with(20).status(StatusRequest(id=1), 1.0)
    assert len(few.clients) == 20
    assert few.next_session is None

    many = core_with(100).status(StatusRequest(id=1), 1.0)
    assert 20 < len(many.clients) < 100
    assert many.next_session is not None


def test_expected_clients_are_in_the_pages_too() -> None:
    core = core_with(30)
    known = SnapshotClient(role="subscriber", session=2**52, address="h", topics=["A"])
    away = [
        SnapshotClient(role="subscriber", session=each, address="h", topics=["A"])
        for each in range(2**51, 2**51 + 30)
    ]
    core.expect(Snapshot(written_ns=0, clients=[known, *away]), 0.0)

    pages = pages_of(core)

    expected = [session for page in pages for session in sessions(page.expected)]
    assert expected == [*range(2**51, 2**51 + 30), 2**52]
    assert sum(len(page.clients) for page in pages) == 30


def test_a_client_that_left_between_two_pages_is_not_in_the_second() -> None:
    core = core_with(100)
    first = core.status(StatusRequest(id=1, from_session=0), 1.0)
    assert first.next_session is not None
    core.disconnect(b"x", Disconnect(id=2, session=first.next_session), 1.0)

    second = core.status(StatusRequest(id=3, from_session=first.next_session), 1.0)

    assert first.next_session not in sessions(second.clients)
    assert second.clients


def test_there_may_be_no_client() -> None:
    assert pages_of(core_with(0))[0].clients == []
