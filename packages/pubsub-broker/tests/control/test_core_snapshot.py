"""The state that the core keeps of its clients: strengths, losses, limits, expected
clients."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    EventsLost,
    Joined,
    NotReturned,
    Send,
)
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.registry.snapshot import Snapshot, SnapshotClient
from pubsub_common.defaults import (
    EXPECTED_MARGIN_S,
    LOG_INTERVAL_S,
    MAX_CONTROL_BYTES,
    MAX_TOPICS_PER_CLIENT,
    NOTIFY_DELAY_S,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    ClientStatus,
    Disconnect,
    Disconnected,
    Error,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Role,
    Status,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS

LEASE_S = 6.0
SECOND_NS = 10**9

_E = TypeVar("_E", bound=Effect)
_M = TypeVar("_M", bound=Reply)


def of(kind: type[_E], effects: list[Effect]) -> list[_E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(kind: type[_M], effects: list[Effect]) -> list[_M]:
    replies = [effect.message for effect in of(Send, effects)]
    return [reply for reply in replies if isinstance(reply, kind)]


class Bench:
    """A core, a clock, and short ways to talk to the core."""

    def __init__(
        self, model: Model = "centralized", max_clients: int = 1000, **options: Any
    ) -> None:
        sessions = itertools.count(1)
        self.now = 0.0
        self.clock_ns = 1000 * SECOND_NS
        self.core = BrokerCore(
            model,
            MemoryRegistry(),
            epoch=1,
            lease_s=LEASE_S,
            new_session=lambda: next(sessions),
            clock_ns=lambda: self.clock_ns,
            max_clients=max_clients,
            **options,
        )

    def register(
        self,
        role: Role = "publisher",
        *topics: str,
        host: int = 1,
        session: int | None = None,
        strengths: Mapping[str, int] | None = None,
        peer: bytes | None = None,
        origin: str | None = None,
    ) -> list[Effect]:
        request = Register(
            id=1,
            versions=VERSIONS,
            role=role,
            topics=list(topics or ("A",)),
            address=f"10.0.0.{host}" + (":5556" if role == "publisher" else ""),
            clock="realtime",
            session=session,
            strengths=dict(strengths or {}),
        )
        peer = f"{role}{host}".encode() if peer is None else peer
        return self.core.register(peer, request, self.now, origin=origin)

    def joins(self, *arguments: Any, **options: Any) -> int:
        [reply] = sent(Registered, self.register(*arguments, **options))
        return reply.session

    def beat(self, session: int, **lost: int) -> list[EventsLost]:
        request = Heartbeat(id=1, session=session, lost=lost)
        return of(EventsLost, self.core.heartbeat(b"x", request, self.now))

    def leave(self, session: int) -> list[Effect]:
        request = Disconnect(id=1, session=session)
        return self.core.disconnect(b"x", request, self.now)

    def status(self) -> Status:
        return self.core.status(StatusRequest(id=1), self.now)

    def after_notify_delay(self) -> list[PublishersChanged]:
        self.now += NOTIFY_DELAY_S
        return sent(PublishersChanged, self.core.tick(self.now))


@pytest.fixture(params=["centralized", "decentralized"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


# Strengths


def strengths_of(infos: list[PublisherInfo]) -> list[dict[str, int]]:
    return [info.strengths for info in infos]


def test_a_subscriber_is_told_the_strengths_for_its_topics(bench: Bench) -> None:
    bench.register("publisher", "A", "B", "C", strengths={"A": 3, "B": 4})

    [reply] = sent(Registered, bench.register("subscriber", "A", "C"))

    assert strengths_of(reply.publishers) == [{"A": 3}]


def test_a_subscriber_is_told_the_strengths_of_a_publisher_that_comes_later(
    bench: Bench,
) -> None:
    bench.register("subscriber", "B")
    bench.register("publisher", "A", "B", strengths={"A": 3, "B": 4})

    [push] = bench.after_notify_delay()

    assert strengths_of(push.joined) == [{"B": 4}]


def test_other_strengths_are_news_and_nobody_has_left(bench: Bench) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.after_notify_delay()

    effects = bench.register("publisher", session=session, strengths={"A": 2})

    [push] = bench.after_notify_delay()
    assert [info.session for info in push.joined] == [session]
    assert strengths_of(push.joined) == [{"A": 2}]
    assert push.left == []
    assert of(Attach, effects) + of(Detach, effects) + of(Departed, effects) == []


def test_no_strength_any_more_is_news_too(bench: Bench) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.after_notify_delay()

    bench.register("publisher", session=session)

    [push] = bench.after_notify_delay()
    assert strengths_of(push.joined) == [{}]


def test_the_same_strengths_are_no_news(bench: Bench) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.after_notify_delay()

    bench.register("publisher", session=session, strengths={"A": 1})

    assert bench.after_notify_delay() == []


def test_a_publisher_that_changes_before_it_is_known_joins_once(bench: Bench) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.register("publisher", session=session, strengths={"A": 2})

    [push] = bench.after_notify_delay()

    assert strengths_of(push.joined) == [{"A": 2}]
    assert push.left == []


def test_one_that_changes_before_it_is_known_and_leaves_is_no_news(
    bench: Bench,
) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.register("publisher", session=session, strengths={"A": 2})
    bench.leave(session)

    assert bench.after_notify_delay() == []


def test_one_that_is_known_and_changes_and_leaves_has_left(bench: Bench) -> None:
    bench.register("subscriber", "A")
    session = bench.joins("publisher", strengths={"A": 1})
    bench.after_notify_delay()
    bench.register("publisher", session=session, strengths={"A": 2})
    bench.leave(session)

    [push] = bench.after_notify_delay()

    assert push.joined == []
    assert [departure.session for departure in push.left] == [session]


def test_a_strength_for_a_topic_of_others_is_refused(bench: Bench) -> None:
    [error] = sent(Error, bench.register("publisher", "A", strengths={"B": 1}))

    assert error.code == messages.BAD_TOPIC
    assert "'B'" in error.detail
    assert bench.status().clients == []


def test_a_subscriber_has_no_strengths(bench: Bench) -> None:
    [error] = sent(Error, bench.register("subscriber", "A", strengths={"A": 1}))

    assert error.code == messages.MALFORMED
    assert bench.status().rejected == 1


# Losses


def events(missed: list[EventsLost]) -> list[Mapping[str, int]]:
    return [item.events for item in missed]


def test_what_a_subscriber_lost_is_in_the_status(bench: Bench) -> None:
    session = bench.joins("subscriber", "A", "B")
    assert bench.status().clients[0].lost == {}

    bench.beat(session, A=3)
    bench.beat(session, A=5, B=1)

    assert bench.status().clients[0].lost == {"A": 5, "B": 1}


def test_a_loss_is_said_at_once_and_once(bench: Bench) -> None:
    session = bench.joins("subscriber")

    [missed] = bench.beat(session, A=3)
    bench.now += 2.0
    assert bench.beat(session, A=3) == []

    assert missed.client.address == "10.0.0.1"
    assert missed.events == {"A": 3}


def test_later_losses_are_said_together_after_the_interval(bench: Bench) -> None:
    session = bench.joins("subscriber", "A", "B")
    bench.beat(session, A=3)
    at = bench.now + LOG_INTERVAL_S
    said: list[Mapping[str, int]] = []
    for number in range(1, 8):
        bench.now += 2.0
        found = events(bench.beat(session, A=3 + number, B=1))
        assert not found or bench.now >= at
        said += found

    assert said == [{"A": 5, "B": 1}]


def test_no_loss_is_no_line_however_often(bench: Bench) -> None:
    session = bench.joins("subscriber")
    for _ in range(10):
        bench.now += 2.0
        assert bench.beat(session) == []


def test_what_was_not_said_yet_is_said_when_the_client_leaves(bench: Bench) -> None:
    session = bench.joins("subscriber")
    bench.beat(session, A=3)
    bench.beat(session, A=10)

    assert events(of(EventsLost, bench.leave(session))) == [{"A": 7}]


def test_a_subscriber_that_comes_back_counts_on(bench: Bench) -> None:
    session = bench.joins("subscriber")
    bench.beat(session, A=3)
    bench.now += LEASE_S
    assert of(Departed, bench.core.tick(bench.now))
    bench.now += LOG_INTERVAL_S

    bench.joins("subscriber", session=session)

    assert events(bench.beat(session, A=5)) == [{"A": 2}]


def test_registering_again_keeps_the_losses(bench: Bench) -> None:
    session = bench.joins("subscriber")
    bench.beat(session, A=3)

    bench.joins("subscriber", session=session)

    assert bench.status().clients[0].lost == {"A": 3}
    bench.now += LOG_INTERVAL_S
    assert bench.beat(session, A=3) == []


def test_losses_of_topics_that_are_not_its_own_are_ignored(bench: Bench) -> None:
    session = bench.joins("subscriber", "A")

    assert bench.beat(session, B=3) == []
    assert bench.status().clients[0].lost == {}


def test_losses_by_a_wildcard_are_its_own(bench: Bench) -> None:
    session = bench.joins("subscriber", "logs/#", "+/x", "A")
    lost = {"A": 1, "logs/a/b": 2, "any/x": 3, "any/y": 4, "logs": 5}

    [missed] = bench.beat(session, **lost)

    del lost["any/y"]
    assert missed.events == lost
    assert bench.status().clients[0].lost == lost


def test_losses_of_invalid_topics_are_ignored(bench: Bench) -> None:
    session = bench.joins("subscriber", "#")

    assert bench.beat(session, **{"a\nbroker: all is well": 3, "x" * 256: 1}) == []
    assert bench.status().clients[0].lost == {}


def test_losses_of_too_many_topics_are_ignored(bench: Bench) -> None:
    session = bench.joins("subscriber", "#")
    lost = {f"topic {number}": 1 for number in range(MAX_TOPICS_PER_CLIENT + 10)}

    bench.beat(session, **lost)

    assert len(bench.status().clients[0].lost) == MAX_TOPICS_PER_CLIENT


def test_a_publisher_loses_nothing(bench: Bench) -> None:
    session = bench.joins("publisher", "A")

    assert bench.beat(session, A=3) == []
    assert bench.status().clients[0].lost == {}


# Limits


@pytest.fixture
def full() -> Bench:
    """A broker with a limit of two clients, and two clients: sessions 1 and 2."""
    bench = Bench(max_clients=2)
    assert bench.joins("publisher", host=1) == 1
    assert bench.joins("subscriber", host=2) == 2
    return bench


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_one_client_too_many_is_refused(full: Bench, role: Role) -> None:
    before = full.status().clients

    [error] = sent(Error, full.register(role, host=3))

    assert error.code == messages.TOO_MANY
    assert "--max-clients" in error.detail
    assert full.status().clients == before
    assert full.status().rejected == 1


def test_a_registered_client_is_never_one_too_many(full: Bench) -> None:
    assert full.joins("publisher", host=1, session=1) == 1
    assert full.joins("publisher", "B", host=9, session=1, peer=b"publisher1") == 1
    # repeats its request on its connection
    assert full.joins("subscriber", host=2) == 2
    assert len(full.status().clients) == 2


def test_a_publisher_that_replaces_one_is_not_one_too_many(full: Bench) -> None:
    assert full.joins("publisher", host=1, peer=b"other") == 3
    assert len(full.status().clients) == 2


def test_there_is_room_again_when_one_leaves(full: Bench) -> None:
    full.leave(1)

    assert full.joins("subscriber", host=3) == 3


def test_one_address_has_so_many_clients_and_no_more() -> None:
    bench = Bench(max_from_origin=2)
    assert bench.joins("publisher", host=1, origin="10.0.0.9") == 1
    assert bench.joins("subscriber", host=2, origin="10.0.0.9") == 2

    [error] = sent(Error, bench.register("subscriber", host=3, origin="10.0.0.9"))

    assert error.code == messages.TOO_MANY
    assert "from 10.0.0.9" in error.detail
    # Another client, a registered one, a replacement at its address, and one in a free
    # place.
    assert bench.joins("subscriber", host=3, origin="10.0.0.8") == 3
    assert bench.joins("subscriber", host=4) == 4
    assert bench.joins("subscriber", host=2, session=2, origin="10.0.0.9") == 2
    assert bench.joins("publisher", host=1, peer=b"new", origin="10.0.0.9") == 5
    bench.leave(2)
    assert bench.joins("subscriber", host=3, peer=b"3", origin="10.0.0.9") == 6


def test_a_place_of_another_address_is_none_of_ones_own() -> None:
    bench = Bench(max_from_origin=1)
    bench.joins("publisher", host=1, origin="10.0.0.8")
    bench.joins("publisher", host=2, origin="10.0.0.9")

    [error] = sent(
        Error, bench.register("publisher", host=1, peer=b"x", origin="10.0.0.9")
    )

    assert error.code == messages.TOO_MANY


def test_clients_may_be_allowed_fewer_topics() -> None:
    bench = Bench(max_topics=2)

    [error] = sent(Error, bench.register("subscriber", "A", "B", "C"))

    assert error.code == messages.TOO_MANY
    assert "at most 2" in error.detail
    assert bench.joins("subscriber", "A", "B") == 1


def test_what_is_postponed_is_counted_and_not_served(bench: Bench) -> None:
    request = messages.StatusRequest(id=7)

    [error] = sent(Error, bench.core.refusals.too_fast(b"x", request))

    assert (error.id, error.code) == (7, messages.TOO_FAST)
    assert bench.status().rejected == 1


def test_as_many_topics_as_allowed_are_taken_and_no_more(bench: Bench) -> None:
    topics = [str(number) for number in range(MAX_TOPICS_PER_CLIENT + 1)]

    [error] = sent(Error, bench.register("publisher", *topics))

    assert error.code == messages.TOO_MANY
    assert bench.joins("publisher", *topics[1:], "1", "1") == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 100_000, id="arrays"),
        pytest.param(b'{"a":' * 100_000, id="objects"),
        pytest.param(
            b'{"type":"status","id":7,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            id="in a field",
        ),
        pytest.param(
            b'{"type":"status","id":7,"x":"' + b"x" * MAX_CONTROL_BYTES + b'"}',
            id="long",
        ),
    ],
)
def test_deep_and_long_messages_cost_one_reply(bench: Bench, data: bytes) -> None:
    [error] = sent(Error, bench.core.receive(b"x", data, 0.0))

    assert error.code == messages.MALFORMED
    assert bench.status().rejected == 1


def test_a_message_as_long_as_allowed_is_served(bench: Bench) -> None:
    data = json.dumps({"type": "status", "id": 7}).encode().ljust(MAX_CONTROL_BYTES)

    [status] = sent(Status, bench.core.receive(b"x", data, 0.0))

    assert status.id == 7


# Leases


def test_the_status_lists_nobody_whose_lease_has_ended(bench: Bench) -> None:
    bench.joins("publisher")
    bench.joins("subscriber")
    bench.now = LEASE_S

    effects = bench.core.handle(b"x", StatusRequest(id=1), bench.now)

    [status] = sent(Status, effects)
    assert status.clients == []
    assert len(of(Departed, effects)) == 2


# Expected clients


def written(*clients: SnapshotClient, age_s: float = 100.0) -> Snapshot:
    """A snapshot of this age at the start of a `Bench`."""
    return Snapshot(written_ns=round((1000 - age_s) * SECOND_NS), clients=list(clients))


PUBLISHER = SnapshotClient(
    role="publisher", session=11, address="10.0.0.1:5556", topics=["A"]
)
SUBSCRIBER = SnapshotClient(
    role="subscriber", session=12, address="10.0.0.2", topics=["A", "B"], idle_s=5.0
)


def sessions(clients: list[ClientStatus]) -> list[int]:
    return [client.session for client in clients]


def test_the_clients_of_the_run_before_are_expected(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, SUBSCRIBER), 0.0)
    bench.now = 2.5

    status = bench.status()

    assert status.clients == []
    assert status.expected == [
        ClientStatus(
            role="publisher",
            session=11,
            address="10.0.0.1:5556",
            topics=["A"],
            idle_s=102.5,
        ),
        ClientStatus(
            role="subscriber",
            session=12,
            address="10.0.0.2",
            topics=["A", "B"],
            idle_s=107.5,
        ),
    ]


def test_a_clock_that_was_set_back_makes_nobody_younger_than_now(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, age_s=-500.0), 0.0)

    assert [client.idle_s for client in bench.status().expected] == [0.0]


def test_a_client_that_returns_is_no_longer_expected(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, SUBSCRIBER), 0.0)

    [arrived] = of(Joined, bench.register("publisher", session=11))

    assert arrived.again
    assert sessions(bench.status().expected) == [12]
    assert sessions(bench.status().clients) == [11]


def test_another_client_is_not_taken_for_one_that_is_expected(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER), 0.0)

    bench.joins("publisher", host=1)

    assert sessions(bench.status().expected) == [11]


def test_a_client_that_disconnects_is_no_longer_expected(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, SUBSCRIBER), 0.0)

    [reply] = sent(Disconnected, bench.leave(12))

    assert reply.id == 1
    assert sessions(bench.status().expected) == [11]


def test_clients_that_do_not_return_in_time_expire_together(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, SUBSCRIBER), 0.0)
    end = LEASE_S + EXPECTED_MARGIN_S

    assert bench.core.next_deadline() == end
    assert bench.core.tick(end - 0.001) == []
    [given_up] = of(NotReturned, bench.core.tick(end))

    assert sessions(list(given_up.clients)) == [11, 12]
    assert bench.status().expected == []
    assert bench.core.next_deadline() is None
    assert bench.core.tick(end + 1) == []


def test_a_snapshot_has_registered_and_expected_clients(bench: Bench) -> None:
    bench.core.expect(written(PUBLISHER, SUBSCRIBER), 0.0)
    bench.joins("publisher", session=11)
    bench.now = 2.0

    snapshot = bench.core.snapshot(bench.now)

    assert snapshot.written_ns == bench.clock_ns
    assert [client.session for client in snapshot.clients] == [11, 12]
    assert [client.idle_s for client in snapshot.clients] == [0.0, 107.0]


def test_what_changes_the_snapshot_is_counted_and_nothing_else(bench: Bench) -> None:
    bench.core.expect(written(SUBSCRIBER), 0.0)
    seen = [bench.core.changes]

    def changed() -> bool:
        seen.append(bench.core.changes)
        return seen[-1] != seen[-2]

    session = bench.joins("publisher")
    assert changed()
    bench.joins("publisher", session=session)
    bench.beat(session)
    bench.status()
    bench.leave(999)
    bench.register("publisher", "\0")
    assert not changed()
    bench.joins("publisher", "B", session=session)
    assert changed()
    bench.leave(12)
    assert changed()
    bench.now = LEASE_S
    bench.core.tick(bench.now)
    assert changed()
    bench.core.tick(bench.now)
    assert not changed()
