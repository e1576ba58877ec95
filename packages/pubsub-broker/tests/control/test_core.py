"""The broker's decisions: messages in, effects out, time as a number."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.broker_parts import role_of
from support.protocol_vectors import VECTORS

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    Joined,
    Rejected,
    Send,
)
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.defaults import MAX_TOPICS_PER_CLIENT, NOTIFY_DELAY_S
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    ClientStatus,
    Demand,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
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
from pubsub_common.protocol.versions import VERSIONS, Versions

LEASE_S = 6.0
EPOCH = 77
MODELS: tuple[Model, ...] = ("centralized", "decentralized")

_E = TypeVar("_E", bound=Effect)
_M = TypeVar("_M", bound=Reply)


def of(kind: type[_E], effects: Iterable[Effect]) -> list[_E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(kind: type[_M], peer: bytes, effects: Iterable[Effect]) -> list[_M]:
    """The messages of this kind that go to this peer."""
    return [
        effect.message
        for effect in of(Send, effects)
        if effect.peer == peer and isinstance(effect.message, kind)
    ]


class Bench:
    """A broker core, and short ways to talk to it. Clients are identified by peer id."""

    def __init__(self, model: Model) -> None:
        sessions = itertools.count(1)
        self.model = model
        self.now = 0.0
        self.sessions: dict[bytes, int] = {}
        self.ids = itertools.count(1)
        self.core = BrokerCore(
            model,
            MemoryRegistry(),
            epoch=EPOCH,
            lease_s=LEASE_S,
            new_session=lambda: next(sessions),
            ports=lambda topics: {topic: 7000 + len(topic) for topic in topics},
            forwarded=lambda: 42,
            is_lost=lambda peer: peer in self.lost,
        )
        self.lost: set[bytes] = set()  # connections that are known to have closed

    def register(
        self, peer: bytes, role: Role, topics: Sequence[str], **changes: Any
    ) -> list[Effect]:
        fields: dict[str, Any] = {
            "id": next(self.ids),
            "versions": VERSIONS,
            "role": role,
            "topics": list(topics),
            "address": "10.0.0.2" if role == "subscriber" else "10.0.0.1:5556",
            "clock": "realtime",
            "model": self.model if role == "subscriber" else None,
            "session": self.sessions.get(peer),
        }
        effects = self.core.register(peer, Register(**{**fields, **changes}), self.now)
        for reply in sent(Registered, peer, effects):
            self.sessions[peer] = reply.session
        return effects

    def publisher(self, peer: bytes, *topics: str, **changes: Any) -> list[Effect]:
        number = int.from_bytes(peer, "big") % 60_000
        address = f"10.0.0.1:{1 + number}"
        return self.register(
            peer, "publisher", topics, **{"address": address, **changes}
        )

    def subscriber(self, peer: bytes, *topics: str, **changes: Any) -> Registered:
        effects = self.register(peer, "subscriber", topics, **changes)
        [reply] = sent(Registered, peer, effects)
        return reply

    def heartbeat(self, peer: bytes, session: int | None = None) -> Alive:
        request = Heartbeat(
            id=next(self.ids),
            session=self.sessions[peer] if session is None else session,
        )
        [reply] = sent(Alive, peer, self.core.heartbeat(peer, request, self.now))
        assert reply.id == request.id
        return reply

    def disconnect(self, peer: bytes, **next_sequences: int) -> list[Effect]:
        request = Disconnect(
            id=next(self.ids),
            session=self.sessions[peer],
            next_sequences=next_sequences,
        )
        return self.core.disconnect(peer, request, self.now)

    def after_notify_delay(self) -> list[Effect]:
        """Let the time for collecting notifications pass."""
        self.now += NOTIFY_DELAY_S
        return self.core.tick(self.now)

    def pushes(self, peer: bytes) -> list[PublishersChanged]:
        return sent(PublishersChanged, peer, self.after_notify_delay())

    def status(self) -> Status:
        return self.core.status(StatusRequest(id=1), self.now)


@pytest.fixture(params=MODELS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


@pytest.fixture
def central() -> Bench:
    return Bench("centralized")


@pytest.fixture
def registry_only() -> Bench:
    return Bench("decentralized")


# Registration


def test_a_registration_is_answered_with_all_a_client_must_know(bench: Bench) -> None:
    effects = bench.register(b"s", "subscriber", ["A"], id=31)

    assert sent(Registered, b"s", effects) == [
        Registered(
            id=31,
            version=1,
            session=1,
            epoch=EPOCH,
            lease_s=LEASE_S,
            model=bench.model,
            revision=0,
            ports={"A": 7001} if bench.model == "centralized" else {},
        )
    ]
    assert [effect.again for effect in of(Joined, effects)] == [False]


def test_every_new_client_gets_a_session_of_its_own(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.subscriber(b"s", "A")
    bench.subscriber(b"t", "A")

    assert len(set(bench.sessions.values())) == 3


def test_a_centralized_subscriber_gets_ports_and_no_addresses(central: Bench) -> None:
    central.publisher(b"p", "A", "B", "CC")

    reply = central.subscriber(b"s", "A", "CC", "D")

    assert reply.ports == {"A": 7001, "CC": 7002, "D": 7001}
    assert reply.publishers == [
        PublisherInfo(session=central.sessions[b"p"], topics=["A", "CC"])
    ]


def test_a_decentralized_subscriber_gets_addresses_and_no_ports(
    registry_only: Bench,
) -> None:
    registry_only.publisher(b"p", "A", "B", "CC", address="10.0.0.9:1234")

    reply = registry_only.subscriber(b"s", "A", "CC", "D")

    assert reply.ports == {}
    assert reply.publishers == [
        PublisherInfo(
            session=registry_only.sessions[b"p"],
            topics=["A", "CC"],
            address="10.0.0.9:1234",
        )
    ]


def test_a_publisher_gets_neither(bench: Bench) -> None:
    bench.publisher(b"q", "A")

    [reply] = sent(Registered, b"p", bench.publisher(b"p", "A"))

    assert (reply.ports, reply.publishers) == ({}, [])


def test_topics_are_registered_once_each(bench: Bench) -> None:
    bench.publisher(b"p", "A", "A", "B", "A")

    assert bench.status().clients[0].topics == ["A", "B"]


def test_a_centralized_broker_attaches_a_new_publisher_that_is_wanted(
    central: Bench,
) -> None:
    central.subscriber(b"s", "A")

    effects = central.publisher(b"p", "A", "B", address="10.0.0.9:1234")

    assert of(Attach, effects) == [Attach("10.0.0.9:1234", ("A", "B"))]


def test_a_decentralized_broker_never_touches_events(registry_only: Bench) -> None:
    effects = registry_only.publisher(b"p", "A")
    effects += registry_only.publisher(b"p", "B")
    effects += registry_only.disconnect(b"p")

    assert of(Attach, effects) == []
    assert of(Detach, effects) == []


# Refusals


def refusal(bench: Bench, role: Role = "publisher", **changes: Any) -> Error:
    """The error reply to a registration with these changes."""
    before = bench.status()
    effects = bench.register(b"x", role, changes.pop("topics", ["A"]), **changes)
    [error] = sent(Error, b"x", effects)
    assert effects == [Send(b"x", error), Rejected(b"x", error.detail)]
    after = bench.status()
    assert after.clients == before.clients
    assert after.rejected == before.rejected + 1
    return error


def test_a_subscriber_of_the_other_model_is_told_both(bench: Bench) -> None:
    [other] = [model for model in MODELS if model != bench.model]

    error = refusal(bench, "subscriber", id=5, model=other)

    assert (error.id, error.code) == (5, messages.WRONG_MODEL)
    assert f"a {other} broker" in error.detail
    assert f"is {bench.model}" in error.detail


def test_a_client_that_names_no_model_is_welcome(bench: Bench) -> None:
    assert bench.subscriber(b"s", "A", model=None).session


@pytest.mark.parametrize("versions", [(0, 0), (2, 2), (2, 9), (1, 0), (2**53 - 1,) * 2])
def test_a_client_of_other_versions_of_the_protocol_is_refused(
    bench: Bench, versions: Versions
) -> None:
    error = refusal(bench, versions=versions)

    assert error.code == messages.WRONG_VERSION


@pytest.mark.parametrize("versions", [(1, 1), (0, 1), (1, 7), (0, 2**53 - 1)])
def test_the_broker_chooses_the_highest_version_that_both_speak(
    bench: Bench, versions: Versions
) -> None:
    effects = bench.register(b"p", "publisher", ["A"], versions=versions)

    assert sent(Registered, b"p", effects)[0].version == 1


@pytest.mark.parametrize(
    "topics",
    [
        [""],
        ["A", "a\n"],
        ["a" * 256],
    ],
)
def test_bad_topics_are_refused(bench: Bench, topics: list[str]) -> None:
    assert refusal(bench, topics=topics).code == messages.BAD_TOPIC


def test_only_a_publisher_may_have_no_topics(bench: Bench) -> None:
    assert refusal(bench, "subscriber", topics=[]).code == messages.BAD_TOPIC

    effects = bench.register(b"p", "publisher", [])
    [reply] = sent(Registered, b"p", effects)
    bench.subscriber(b"s", "A")
    effects = bench.register(b"p", "publisher", ["A"], session=reply.session)

    [registered] = sent(Registered, b"p", effects)
    assert registered.session == reply.session
    assert list(registered.listeners.values()) == [1]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:05556",
        "10.0.0.1:５５５６",  # noqa: RUF001
        "10.0.0.1:" + "1" * 5000,
        "0.0.0.0:5556",
        "local/host:5556",
        "[::]:5556",
        "[0::1]:5556",
        "::1:5556",
        "[::1]",
        "10.0.0.1:5556\n",
    ],
)
def test_a_publisher_needs_an_address_to_connect_to(bench: Bench, address: str) -> None:
    assert refusal(bench, address=address).code == messages.BAD_ADDRESS


@pytest.mark.parametrize("address", ["", "10.0.0.2:1", "0.0.0.0", "::1", "1" * 5000])
def test_a_subscriber_needs_a_host_address(bench: Bench, address: str) -> None:
    error = refusal(bench, "subscriber", address=address)

    assert error.code == messages.BAD_ADDRESS


def test_an_unknown_clock_is_refused(bench: Bench) -> None:
    assert refusal(bench, clock="sundial").code == messages.WRONG_CLOCK


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_both_sides_of_a_topic_need_the_same_clock(bench: Bench, role: Role) -> None:
    bench.publisher(b"p", "A", address="10.0.0.9:1234")
    bench.subscriber(b"s", "A", address="10.0.0.8")

    error = refusal(bench, role, clock="monotonic")

    assert error.code == messages.WRONG_CLOCK
    assert "monotonic" in error.detail
    assert "realtime" in error.detail
    assert ("10.0.0.8" if role == "publisher" else "10.0.0.9:1234") in error.detail


def test_clocks_of_topics_that_are_not_shared_do_not_matter(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.publisher(b"q", "A", clock="monotonic")

    assert bench.subscriber(b"s", "B", clock="monotonic").session


def test_a_client_that_changes_its_role_is_not_held_against_itself(
    bench: Bench,
) -> None:
    bench.subscriber(b"x", "A", clock="realtime")

    effects = bench.publisher(b"x", "A", clock="monotonic")

    assert sent(Error, b"x", effects) == []


def test_a_refused_change_leaves_the_earlier_registration(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    before = bench.status().clients

    bench.publisher(b"p", "A\0")

    assert bench.status().clients == before


def test_an_error_detail_is_one_short_line(bench: Bench) -> None:
    request = {"type": "x\n" * 100_000, "id": 3}

    [error] = sent(Error, b"x", bench.core.receive(b"x", to_bytes(request), 0.0))

    assert error.id == 3
    assert len(error.detail) <= 500
    assert error.detail.isprintable()


# Any bytes


def to_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(st.sampled_from(MODELS), st.binary(max_size=100))
def test_any_bytes_cost_one_reply(model: Model, data: bytes) -> None:
    bench = Bench(model)

    effects = bench.core.receive(b"x", data, 0.0)

    [error] = sent(Error, b"x", effects)
    assert error.code == messages.MALFORMED
    assert bench.status().rejected == 1
    assert messages.encode(error)


WILD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
    st.sampled_from(
        [
            "publisher",
            "subscriber",
            "centralized",
            "10.0.0.1:5556",
            "10.0.0.1",
            "monotonic",
            ["A", "B"],
            {"A": 3},
            10**300,
        ]
    ),
)
WILD_REQUESTS = st.builds(
    lambda kind, fields: {**fields, **({"type": kind} if kind else {})},
    st.sampled_from(
        ["register", "heartbeat", "disconnect", "status", "clock", "x", ""]
    ),
    st.dictionaries(
        st.sampled_from(
            [
                "id",
                "versions",
                "role",
                "topics",
                "address",
                "clock",
                "model",
                "session",
                "revision",
                "next_sequences",
                "sent_ns",
                "colour",
            ]
        ),
        WILD_VALUES,
    ),
)
TAME_REQUESTS = (
    st.builds(
        lambda role, session, topics, host, clock: {
            "type": "register",
            "id": 1,
            "versions": [1, 1],
            "role": role,
            "topics": topics,
            "address": f"10.0.0.{host}" + (":5556" if role == "publisher" else ""),
            "clock": clock,
            "session": session,
        },
        st.sampled_from(["publisher", "subscriber"]),
        st.none() | st.integers(0, 5),
        st.lists(st.sampled_from("ABC"), min_size=1, max_size=3),
        st.integers(1, 3),
        st.sampled_from(["realtime", "realtime", "monotonic"]),
    )
    | st.builds(
        lambda kind, session: {"type": kind, "id": 1, "session": session},
        st.sampled_from(["heartbeat", "disconnect"]),
        st.integers(0, 5),
    )
    | st.builds(
        lambda session, offset, bound: {
            "type": "heartbeat",
            "id": 1,
            "session": session,
            "clock": {"offset_ns": offset, "bound_ns": bound},
        },
        st.integers(0, 5),
        st.sampled_from([0, -1500, -(2**62), 2**62 - 1, 10**4000]),
        st.sampled_from([0, 40_000, 2**62 - 1, -1, 10**4299]),
    )
)


@given(
    st.sampled_from(MODELS),
    st.lists(
        st.tuples(
            st.sampled_from([b"p", b"q", b"r"]),
            TAME_REQUESTS | WILD_REQUESTS,
            st.sampled_from([0.0, 0.01, 1.0, 6.0]),
        ),
        max_size=12,
    ),
)
def test_any_sequence_of_requests_is_answered_one_by_one(
    model: Model, requests: list[tuple[bytes, dict[str, Any], float]]
) -> None:
    bench = Bench(model)
    for peer, request, pause_s in requests:
        bench.now += pause_s
        pushed = bench.core.tick(bench.now)
        effects = bench.core.receive(peer, to_bytes(request), bench.now)
        answers = [e.message for e in of(Send, effects) if e.peer == peer]
        assert len(answers) == 1
        for effect in of(Send, pushed + effects):
            reply = messages.decode_reply(messages.encode(effect.message))
            assert reply == effect.message
    deadline = bench.core.next_deadline()
    assert deadline is None or deadline <= bench.now + LEASE_S
    bench.lost |= {b"p", b"q", b"r"}
    bench.core.tick(bench.now + 2 * LEASE_S)
    bench.core.tick(bench.now + 3 * LEASE_S)
    assert bench.core.next_deadline() is None
    assert bench.core.farewell() == []


@pytest.mark.parametrize("vector", VECTORS["refused_requests"])
def test_a_bad_request_is_answered_as_the_protocol_document_says(
    vector: dict[str, Any], registry_only: Bench
) -> None:
    data = vector["text"].encode()

    [error] = sent(Error, b"x", registry_only.core.receive(b"x", data, 0.0))

    assert (error.id, error.code) == (vector["id"], vector["code"])


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (StatusRequest(id=9), Status),
        (Heartbeat(id=9, session=5), Alive),
        (Disconnect(id=9, session=5), Disconnected),
    ],
)
def test_an_answer_repeats_the_id(
    bench: Bench,
    request_: messages.Request,
    answer: type[Status | Alive | Disconnected],
) -> None:
    [reply] = sent(answer, b"x", bench.core.handle(b"x", request_, 0.0))

    assert reply.id == 9


# Notifications


def test_a_subscriber_is_told_of_a_publisher_that_comes_later(bench: Bench) -> None:
    bench.subscriber(b"s", "A", "B")
    bench.publisher(b"p", "B", "C", address="10.0.0.9:1234")

    assert bench.pushes(b"s") == [
        PublishersChanged(
            revision=1,
            joined=[
                PublisherInfo(
                    session=bench.sessions[b"p"],
                    topics=["B"],
                    address=(
                        "10.0.0.9:1234" if bench.model == "decentralized" else None
                    ),
                )
            ],
        )
    ]


def test_a_subscriber_is_told_how_far_a_leaving_publisher_went(bench: Bench) -> None:
    bench.subscriber(b"s", "A", "B")
    bench.publisher(b"p", "A", "B", "C")
    bench.after_notify_delay()

    bench.disconnect(b"p", A=10, C=5)

    assert bench.pushes(b"s") == [
        PublishersChanged(
            revision=2,
            left=[Departure(session=bench.sessions[b"p"], next_sequences={"A": 10})],
        )
    ]


def test_publishers_and_subscribers_of_other_topics_are_not_told(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"q", "B")
    bench.publisher(b"p", "B")
    bench.disconnect(b"p")

    assert of(Send, bench.after_notify_delay()) == []


def test_news_is_collected_for_a_moment(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    assert bench.core.next_deadline() == NOTIFY_DELAY_S
    bench.now = NOTIFY_DELAY_S / 2
    bench.publisher(b"q", "A")

    assert of(Send, bench.core.tick(bench.now)) == []
    bench.now = NOTIFY_DELAY_S
    [push] = sent(PublishersChanged, b"s", bench.core.tick(bench.now))
    assert [info.session for info in push.joined] == [
        bench.sessions[b"p"],
        bench.sessions[b"q"],
    ]


def test_news_comes_once(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()

    assert bench.pushes(b"s") == []


def test_revisions_count_the_pushes_of_each_subscriber(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.subscriber(b"t", "A", "B")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()
    bench.publisher(b"q", "B")
    effects = bench.after_notify_delay()

    assert sent(PublishersChanged, b"s", effects) == []
    assert [p.revision for p in sent(PublishersChanged, b"t", effects)] == [2]
    assert bench.heartbeat(b"s").revision == 1
    assert bench.heartbeat(b"t").revision == 2


def test_a_publisher_that_comes_and_goes_within_a_moment_is_no_news(
    bench: Bench,
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.disconnect(b"p", A=0)

    assert bench.pushes(b"s") == []
    assert bench.heartbeat(b"s").revision == 0


def test_one_that_goes_and_comes_within_a_moment_is_both_left_and_joined(
    bench: Bench,
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()
    bench.disconnect(b"p", A=4)
    bench.publisher(b"p", "A")

    [push] = bench.pushes(b"s")

    assert [d.next_sequences for d in push.left] == [{"A": 4}]
    assert [i.session for i in push.joined] == [bench.sessions[b"p"]]


def test_of_one_that_goes_and_comes_and_goes_the_last_departure_is_told(
    bench: Bench,
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()
    bench.disconnect(b"p", A=4)
    bench.publisher(b"p", "A")
    bench.disconnect(b"p", A=9)

    [push] = bench.pushes(b"s")

    assert [d.next_sequences for d in push.left] == [{"A": 9}]
    assert push.joined == []


def test_a_subscriber_that_registers_is_not_told_again_what_its_reply_holds(
    bench: Bench,
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")

    reply = bench.subscriber(b"s", "A")

    assert [info.session for info in reply.publishers] == [bench.sessions[b"p"]]
    assert bench.pushes(b"s") == []


def test_waiting_news_can_be_sent_at_once_to_the_subscribers_of_a_topic(
    bench: Bench,
) -> None:
    for peer, topic in ((b"s", "A"), (b"t", "B")):
        bench.subscriber(peer, topic)
    bench.publisher(b"p", "A", "B")

    effects = bench.core.flush(["A"])

    assert len(sent(PublishersChanged, b"s", effects)) == 1
    assert sent(PublishersChanged, b"t", effects) == []
    effects = bench.after_notify_delay()
    assert sent(PublishersChanged, b"s", effects) == []
    assert len(sent(PublishersChanged, b"t", effects)) == 1


def test_waiting_news_can_be_sent_at_once_to_one_subscriber(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.subscriber(b"t", "A")
    bench.publisher(b"p", "A")

    effects = bench.core.flush(["A"], bench.sessions[b"t"])

    assert [effect.peer for effect in of(Send, effects)] == [b"t"]
    assert bench.core.next_deadline() == NOTIFY_DELAY_S


def test_flushing_without_news_does_nothing(bench: Bench) -> None:
    bench.subscriber(b"s", "A")

    assert bench.core.flush() == []
    assert bench.core.flush(["A", "unknown"], 12345) == []


def test_news_goes_to_the_connection_that_spoke_last(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.heartbeat(b"s, reconnected", bench.sessions[b"s"])
    bench.publisher(b"p", "A")

    assert [effect.peer for effect in of(Send, bench.after_notify_delay())] == [
        b"s, reconnected"
    ]


def test_news_goes_to_the_connection_that_registered_last(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.subscriber(b"s, reconnected", "A", session=bench.sessions[b"s"])
    bench.publisher(b"p", "A")

    assert [effect.peer for effect in of(Send, bench.after_notify_delay())] == [
        b"s, reconnected"
    ]


def test_a_departure_costs_no_more_than_the_subscribers_topics(bench: Bench) -> None:
    # 100 000 x 4096 comparisons would take minutes.
    most = [str(number) for number in range(MAX_TOPICS_PER_CLIENT)]
    bench.subscriber(b"s", *most)
    bench.publisher(b"p", *most)
    bench.after_notify_delay()

    bench.disconnect(b"p", **{f"x{number}": 1 for number in range(100_000)}, **{"7": 9})

    [push] = bench.pushes(b"s")
    assert push.left[0].next_sequences == {"7": 9}


# Registering again


def test_registering_again_unchanged_tells_nobody(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()
    session = bench.sessions[b"p"]

    effects = bench.publisher(b"p", "A")

    assert bench.sessions[b"p"] == session
    assert of(Attach, effects) == []
    assert of(Detach, effects) == []
    assert of(Departed, effects) == []
    assert [effect.again for effect in of(Joined, effects)] == [True]
    assert bench.pushes(b"s") == []


def test_registering_again_renews_the_lease(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.now = 5.0
    bench.publisher(b"p", "A")
    bench.now = 10.9

    assert bench.core.tick(bench.now) == []


def test_a_subscriber_keeps_its_revision_when_it_registers_again(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()

    assert bench.subscriber(b"s", "A").revision == 1


def test_a_session_of_an_earlier_broker_is_taken_over(bench: Bench) -> None:
    effects = bench.publisher(b"p", "A", session=987_654)

    [reply] = sent(Registered, b"p", effects)
    assert reply.session == 987_654
    assert [effect.again for effect in of(Joined, effects)] == [True]


def test_a_publisher_with_other_topics_leaves_and_joins(bench: Bench) -> None:
    for peer, topic in ((b"s", "A"), (b"t", "B"), (b"u", "C")):
        bench.subscriber(peer, topic)
    bench.publisher(b"p", "A", "B")
    bench.after_notify_delay()

    changed = bench.publisher(b"p", "B", "C")
    effects = bench.after_notify_delay()

    [to_s] = sent(PublishersChanged, b"s", effects)
    [to_t] = sent(PublishersChanged, b"t", effects)
    [to_u] = sent(PublishersChanged, b"u", effects)
    assert (len(to_s.left), len(to_s.joined)) == (1, 0)
    assert (len(to_t.left), len(to_t.joined)) == (1, 1)
    assert (len(to_u.left), len(to_u.joined)) == (0, 1)
    if bench.model == "centralized":
        order = [e for e in changed if isinstance(e, Attach | Detach)]
        assert [type(effect) for effect in order] == [Detach, Attach]


def test_a_publisher_that_moves_is_detached_there_and_attached_here(
    central: Bench,
) -> None:
    central.subscriber(b"s", "A")
    central.publisher(b"p", "A", address="10.0.0.1:1000")

    effects = central.publisher(b"p", "A", address="10.0.0.1:2000")

    assert of(Detach, effects) == [Detach("10.0.0.1:1000")]
    assert of(Attach, effects) == [Attach("10.0.0.1:2000", ("A",))]


def test_a_subscriber_with_other_topics_is_told_of_those_only(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.publisher(b"q", "B")
    bench.subscriber(b"s", "A")

    reply = bench.subscriber(b"s", "B")
    bench.disconnect(b"p")

    assert [info.session for info in reply.publishers] == [bench.sessions[b"q"]]
    assert bench.pushes(b"s") == []


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
def test_a_session_that_changes_its_role_stops_being_what_it_was(
    bench: Bench, first: Role
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.register(b"x", first, ["A"], address=_address(first))
    bench.after_notify_delay()
    second: Role = "subscriber" if first == "publisher" else "publisher"

    bench.register(b"x", second, ["A"], address=_address(second))

    [push] = sent(PublishersChanged, b"s", bench.after_notify_delay())
    assert (len(push.left), len(push.joined)) == (
        (1, 0) if first == "publisher" else (0, 1)
    )
    roles = {client.session: client.role for client in bench.status().clients}
    assert roles[bench.sessions[b"x"]] == second
    assert role_of(bench.core, bench.sessions[b"x"]) == second


def _address(role: Role) -> str:
    return "10.0.0.7:5556" if role == "publisher" else "10.0.0.7"


def test_a_publisher_at_a_known_address_replaces_the_one_that_was_there(
    bench: Bench,
) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A", address="10.0.0.1:5556")
    bench.after_notify_delay()

    effects = bench.publisher(b"q", "A", address="10.0.0.1:5556")

    assert [effect.reason for effect in of(Departed, effects)] == [
        "replaced by another publisher at its address"
    ]
    if bench.model == "centralized":
        order = [e for e in effects if isinstance(e, Attach | Detach)]
        assert order == [Detach("10.0.0.1:5556"), Attach("10.0.0.1:5556", ("A",))]
    [push] = bench.pushes(b"s")
    assert [d.session for d in push.left] == [bench.sessions[b"p"]]
    assert [i.session for i in push.joined] == [bench.sessions[b"q"]]
    assert not bench.heartbeat(b"p").known


def test_a_publisher_that_moves_to_anothers_address_replaces_it(bench: Bench) -> None:
    bench.publisher(b"p", "A", address="10.0.0.1:1000")
    bench.publisher(b"q", "A", address="10.0.0.1:2000")

    bench.publisher(b"p", "A", address="10.0.0.1:2000")

    assert [(c.session, c.address) for c in bench.status().clients] == [
        (bench.sessions[b"p"], "10.0.0.1:2000")
    ]


def test_two_that_claim_one_address_take_turns_and_both_stay_answered(
    bench: Bench,
) -> None:
    for _ in range(5):
        for peer in (b"p", b"q"):
            effects = bench.publisher(peer, "A", address="10.0.0.1:1000")
            assert len(sent(Registered, peer, effects)) == 1
    assert len(bench.status().clients) == 1


# Leaving


def test_a_client_that_leaves_is_gone(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A", address="10.0.0.9:1234")

    effects = bench.disconnect(b"p")

    assert [effect.reason for effect in of(Departed, effects)] == ["left"]
    assert len(sent(Disconnected, b"p", effects)) == 1
    assert of(Detach, effects) == (
        [Detach("10.0.0.9:1234")] if bench.model == "centralized" else []
    )
    assert [client.role for client in bench.status().clients] == ["subscriber"]
    assert not bench.heartbeat(b"p").known


def test_disconnecting_twice_is_not_an_error(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.disconnect(b"p")

    effects = bench.disconnect(b"p")

    assert [type(effect) for effect in effects] == [Send]
    assert len(sent(Disconnected, b"p", effects)) == 1


def test_a_subscriber_that_left_is_not_told_anything(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.disconnect(b"s")

    assert of(Send, bench.after_notify_delay()) == []


# Leases


def test_a_silent_client_is_gone_when_its_lease_ends(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")
    bench.after_notify_delay()
    bench.now = 5.0
    bench.heartbeat(b"s")
    assert bench.core.next_deadline() == LEASE_S

    effects = bench.core.tick(LEASE_S)

    assert [(e.client.session, e.reason) for e in of(Departed, effects)] == [
        (bench.sessions[b"p"], "lease expired")
    ]
    bench.now = LEASE_S
    [push] = bench.pushes(b"s")
    assert push.left == [Departure(session=bench.sessions[b"p"])]


def test_a_heartbeat_keeps_a_client(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    for second in range(1, 100):
        bench.now = float(second)
        assert bench.heartbeat(b"p") == Alive(
            id=second + 1, epoch=EPOCH, known=True, demand=Demand()
        )
        assert bench.core.tick(bench.now) == []


def test_a_heartbeat_of_an_unknown_session_says_so(bench: Bench) -> None:
    reply = bench.heartbeat(b"x", 12345)

    assert (reply.known, reply.epoch) == (False, EPOCH)
    assert bench.core.next_deadline() is None


def test_many_that_end_at_once_are_told_in_one_push(bench: Bench) -> None:
    for number in range(1, 101):
        bench.publisher(number.to_bytes(2, "big"), "A")
    bench.subscriber(b"s", "A")
    bench.now = 3.0
    bench.heartbeat(b"s")
    bench.now = LEASE_S

    assert len(of(Departed, bench.core.tick(bench.now))) == 100
    [push] = bench.pushes(b"s")
    assert len(push.left) == 100


def test_publishers_and_subscribers_that_end_at_once_cause_no_push(
    bench: Bench,
) -> None:
    bench.publisher(b"p", "A")
    bench.subscriber(b"s", "A")
    bench.publisher(b"q", "A")
    bench.lost.add(b"s")
    bench.now = 2 * LEASE_S

    assert len(of(Departed, bench.core.tick(bench.now))) == 3
    assert of(Send, bench.after_notify_delay()) == []
    assert bench.core.next_deadline() is None


def test_a_client_that_was_merely_slow_comes_back_under_its_session(
    bench: Bench,
) -> None:
    bench.publisher(b"p", "A")
    bench.subscriber(b"s", "A")
    session = bench.sessions[b"s"]
    bench.now = 5.0
    bench.heartbeat(b"p")
    bench.now = LEASE_S
    bench.core.tick(bench.now)
    assert not bench.heartbeat(b"s").known

    reply = bench.subscriber(b"s", "A")

    assert reply.session == session
    assert [info.session for info in reply.publishers] == [bench.sessions[b"p"]]


# Status and the end


def test_the_status_lists_the_clients(bench: Bench) -> None:
    bench.publisher(b"p", "A", "B", address="10.0.0.9:1234")
    bench.now = 2.5
    bench.core.receive(b"x", b"nonsense", bench.now)

    assert bench.status() == Status(
        id=1,
        epoch=EPOCH,
        model=bench.model,
        uptime_s=2.5,
        clients=[
            ClientStatus(
                role="publisher",
                session=bench.sessions[b"p"],
                address="10.0.0.9:1234",
                topics=["A", "B"],
                idle_s=2.5,
            )
        ],
        forwarded=42,
        rejected=1,
    )


def test_asking_for_the_status_needs_no_registration(bench: Bench) -> None:
    effects = bench.core.receive(b"x", b'{"type":"status","id":4}', 0.0)

    assert [reply.id for reply in sent(Status, b"x", effects)] == [4]


def test_the_role_of_a_session_is_known_while_it_is_registered(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    session = bench.sessions[b"p"]

    assert role_of(bench.core, session) == "publisher"
    bench.disconnect(b"p")
    assert role_of(bench.core, session) is None


def test_every_client_is_told_when_the_broker_ends(bench: Bench) -> None:
    bench.publisher(b"p", "A")
    bench.subscriber(b"s", "B")
    bench.subscriber(b"t", "B")
    bench.disconnect(b"t")

    effects = bench.core.farewell()

    assert effects == [
        Send(b"p", Farewell()),
        Send(b"s", Farewell()),
    ]


def test_queued_notifications_are_sent_before_the_farewell(bench: Bench) -> None:
    bench.subscriber(b"s", "A")
    bench.publisher(b"p", "A")

    to_s = [e.message for e in of(Send, bench.core.farewell()) if e.peer == b"s"]

    assert [type(message) for message in to_s] == [PublishersChanged, Farewell]
