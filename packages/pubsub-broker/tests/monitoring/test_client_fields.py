"""Each field of a client, from its requests to every place that shows it.

A new field in the wire's client record (`ClientStatus`) fails here until `SHOWN` names
its places, and while it is dropped on the way there.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.monitoring import (
    page_view,
    prometheus,
    status_page,
    status_screen,
    status_view,
)
from pubsub_broker.monitoring.page_view import ShownClient, view_of
from pubsub_broker.monitoring.prometheus import exposition
from pubsub_broker.monitoring.status_screen import screen
from pubsub_broker.monitoring.status_text import render
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.registry.snapshot import decode_snapshot, encode_snapshot
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    ClientDescription,
    ClientStatus,
    Heartbeat,
    Latency,
    Register,
    Registered,
    Status,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS

LEASE_S = 60.0
# Fields of the request, not of the client.
OF_THE_REQUEST = {"id", "versions", "model"}
# Fields that the broker stores and shows nowhere.
NOT_SHOWN = {"clock", "strengths", "place", "key", "key_name", "origin"}
# A session allows requests in the name of its client; rates are shown at the topics.
NOT_ON_THE_PAGE = {"session", "rates"}
# Fields in the title of a client.
IN_THE_TITLE = {"name"}
# Additional fields of the page: the title, and the number of cut topics.
ONLY_ON_THE_PAGE = {"title", "more_topics"}

PUBLISHER = Register(
    id=1,
    versions=VERSIONS,
    role="publisher",
    topics=["walked/topic"],
    address="10.0.0.76:5556",
    clock="realtime",
    strengths={"walked/topic": 3},
    name="walker@lab:76",
)
SUBSCRIBER = Register(
    id=1,
    versions=VERSIONS,
    role="subscriber",
    topics=["walked/topic", "other/topic"],
    address="10.0.0.77",
    clock="realtime",
    name="walker@lab:77",
)
LATENCY = Latency(count=7, p50_ns=1_230_000, p99_ns=45_600_000, max_ns=789_000_000)
LOST = {"walked/topic": 4711}


@dataclasses.dataclass(frozen=True)
class Places:
    """The text that each place shows of a field; None without any."""

    text: str | None = None
    screen: str | None = None
    metrics: str | None = None


SHOWN = {
    "role": Places("publisher walker", "publisher", 'clients{role="publisher"} 1.0'),
    "session": Places(),
    "address": Places("subscriber walker@lab:77 at 10.0.0.77:"),
    "name": Places("walker@lab:77", "walker@lab:77", 'subscriber="walker@lab:77"'),
    "topics": Places(
        "walked/topic", "walked/topic, other/topic", 'topic="walked/topic"'
    ),
    "idle_s": Places("last seen 2.5 s ago", "2.5 s"),
    "lost": Places("lost 4711 of walked/topic", "4711", "} 4711.0"),
    "rates": Places("50.0 events/s", "50.0", "second{topic="),
    "latency": Places("latency p50 1.23 ms", "45.6 ms", 'quantile="1",'),
    "broker": Places(),
}


def new_core() -> BrokerCore:
    sessions = itertools.count(1001)
    return BrokerCore(
        "centralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=LEASE_S,
        new_session=lambda: next(sessions),
    )


def reply_of(core: BrokerCore, peer: bytes, request: Any, now: float) -> Any:
    """The reply to a request, both as they cross the wire."""
    effects = core.receive(peer, messages.encode(request), now)
    [reply] = [effect.message for effect in effects if isinstance(effect, Send)][:1]
    return messages.decode_reply(messages.encode(reply))


@pytest.fixture(scope="module")
def core() -> BrokerCore:
    core = new_core()
    for request in (PUBLISHER, SUBSCRIBER):
        peer = request.role.encode()
        registered = reply_of(core, peer, request, 0.0)
        assert isinstance(registered, Registered)
        heartbeat = Heartbeat(
            id=2,
            session=registered.session,
            published={"walked/topic": 500} if request is PUBLISHER else None,
            lost=LOST if request is SUBSCRIBER else {},
            latency=LATENCY if request is SUBSCRIBER else None,
        )
        reply_of(core, peer, heartbeat, 10.0)
    return core


@pytest.fixture(scope="module")
def status(core: BrokerCore) -> Status:
    status = reply_of(core, b"someone", StatusRequest(id=3), 12.5)
    assert isinstance(status, Status)
    return status


def client(status: Status, role: str) -> ClientStatus:
    [found] = [each for each in status.clients if each.role == role]
    return found


def test_what_a_client_registers_is_kept_or_is_about_the_request() -> None:
    kept = set(Client.__struct_fields__)
    assert set(Register.__struct_fields__) - kept == OF_THE_REQUEST
    assert kept - set(ClientDescription.__struct_fields__) == NOT_SHOWN


@pytest.mark.parametrize("request_", [PUBLISHER, SUBSCRIBER], ids=lambda it: it.role)
def test_what_a_client_registers_is_in_the_status(
    status: Status, request_: Register
) -> None:
    found = client(status, request_.role)
    for name in ClientDescription.__struct_fields__:
        if name != "session":
            assert getattr(found, name) == getattr(request_, name), name
    assert found.session > 1000


def test_what_a_client_tells_in_its_heartbeats_is_in_the_status(status: Status) -> None:
    found = client(status, "subscriber")
    assert (found.lost, found.latency, found.idle_s) == (LOST, LATENCY, 2.5)
    assert client(status, "publisher").rates == {"walked/topic": 50.0}


def test_what_a_client_registers_comes_back_from_the_snapshot(
    core: BrokerCore, status: Status
) -> None:
    data = encode_snapshot(core.snapshot(12.5))
    later = new_core()
    later.expect(decode_snapshot(data), 0.0)
    again = later.snapshot(1.0)
    assert len(again.clients) == len(status.clients)
    expected = reply_of(later, b"someone", StatusRequest(id=4), 1.0).expected
    for places in (expected, again.clients):
        for found, told in zip(places, status.clients, strict=True):
            for name in ClientDescription.__struct_fields__:
                assert getattr(found, name) == getattr(told, name), name
            assert found.idle_s >= 1.0


def on_screen(status: Status) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(screen(status, None, ""))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


VIEWS: dict[str, Callable[[Status], str]] = {
    "text": render,
    "screen": on_screen,
    "metrics": lambda status: exposition(status)[1].decode(),
}


def test_of_each_field_it_is_said_where_it_is_shown() -> None:
    assert SHOWN.keys() == set(ClientStatus.__struct_fields__)


@pytest.mark.parametrize("place", VIEWS)
@pytest.mark.parametrize("field", SHOWN)
def test_a_field_is_where_it_is_shown(status: Status, field: str, place: str) -> None:
    words = getattr(SHOWN[field], place)
    if words is not None:
        assert words in VIEWS[place](status)


def test_the_page_has_each_field_and_uses_it(status: Status) -> None:
    script = Path(status_page.__file__).with_name("status_page.html").read_text()
    fields = set(ClientStatus.__struct_fields__) - NOT_ON_THE_PAGE - IN_THE_TITLE
    shown_fields = set(ShownClient.__struct_fields__) - IN_THE_TITLE
    assert shown_fields - ONLY_ON_THE_PAGE == fields
    told = {each.address: each for each in status.clients}
    for shown in view_of(status).clients:
        for field in fields:
            assert getattr(shown, field) == getattr(told[shown.address], field), field
        for field in IN_THE_TITLE:
            assert getattr(told[shown.address], field) in shown.title, field
    for field in shown_fields:
        assert re.search(rf"\b(client|clients\[\w\])\.{field}\b", script), field


def test_all_places_call_a_client_by_the_same_title(
    status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (page_view, status_view, status_screen, prometheus):
        monkeypatch.setattr(module, "client_title", lambda each: f"a {each.role}")
    status = msgspec.structs.replace(status, expected=status.clients)

    view = view_of(status)
    for shown in (view.clients, view.expected):
        assert {each.title for each in shown} == {"a publisher", "a subscriber"}
    for view_as_text in VIEWS.values():
        assert "a subscriber" in view_as_text(status)


def test_the_page_shows_rates_at_the_topics(status: Status) -> None:
    rates = {topic.name: topic.rate for topic in view_of(status).topics}
    assert rates["walked/topic"] == 50.0
