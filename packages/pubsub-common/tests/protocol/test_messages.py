"""Control messages: round trips, strictness, and bytes from anybody."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.client_names import is_client_name
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    BrokerStatus,
    ClientStatus,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
    Demand,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    Hello,
    HelloReply,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    RegistryStatus,
    Reply,
    Request,
    Status,
    StatusRequest,
)
from pubsub_common.protocol.undecodable import explain_undecodable, unknown_reply

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**53 - 1)
REPLY_IDS = st.integers(-1, 2**53 - 1)
CLOCK_BOUNDS = st.integers(-(2**63), 2**63 - 1)
SESSIONS = st.integers(0, 2**53 - 1)
SEQUENCES = st.integers(0, 2**53 - 1)
DURATIONS = st.integers(0, 2**62 - 1)
NANOSECONDS = st.integers(-(2**62), 2**62 - 1)
NAMES = st.text(st.characters().filter(is_client_name), max_size=64)
FLOATS = st.floats(0, 1e12)
MODELS = st.sampled_from(("centralized", "decentralized"))
ROLES = st.sampled_from(("publisher", "subscriber"))
TOPIC_LISTS = st.lists(TEXTS, max_size=4)
ENDS = st.dictionaries(TEXTS, SEQUENCES, max_size=4)
PORTS = st.dictionaries(TEXTS, st.integers(1, 65535) | TEXTS, max_size=3)
BROKERS = st.lists(TEXTS, max_size=3)
DEMANDS = st.none() | st.builds(
    Demand, subscriptions=NUMBERS, size=NUMBERS, forwarders=BROKERS
)

REQUESTS = st.one_of(
    st.builds(
        Register,
        id=NUMBERS,
        versions=st.tuples(NUMBERS, NUMBERS),
        role=ROLES,
        topics=TOPIC_LISTS,
        address=TEXTS,
        clock=TEXTS,
        model=st.none() | MODELS,
        session=st.none() | SESSIONS,
        name=NAMES,
    ),
    st.builds(
        Heartbeat,
        id=NUMBERS,
        session=SESSIONS,
        revision=NUMBERS,
        clock=st.none()
        | st.builds(ClockOffset, offset_ns=NANOSECONDS, bound_ns=DURATIONS),
    ),
    st.builds(ClockRequest, id=NUMBERS, sent_ns=NANOSECONDS),
    st.builds(Disconnect, id=NUMBERS, session=SESSIONS, next_sequences=ENDS),
    st.builds(StatusRequest, id=NUMBERS),
    st.builds(Hello, id=NUMBERS),
)
PUBLISHERS = st.lists(
    st.builds(
        PublisherInfo,
        session=SESSIONS,
        topics=TOPIC_LISTS,
        address=st.none() | TEXTS,
    ),
    max_size=3,
)
REPLIES = st.one_of(
    st.builds(
        Registered,
        id=REPLY_IDS,
        version=NUMBERS,
        session=SESSIONS,
        epoch=SESSIONS,
        lease_s=FLOATS.filter(lambda seconds: seconds > 0),
        model=MODELS,
        revision=NUMBERS,
        ports=PORTS,
        publishers=PUBLISHERS,
        demand=DEMANDS,
        brokers=BROKERS,
    ),
    st.builds(
        Alive,
        id=REPLY_IDS,
        epoch=SESSIONS,
        known=st.booleans(),
        revision=NUMBERS,
        publishers_clock=st.none()
        | st.builds(ClockRange, low_ns=CLOCK_BOUNDS, high_ns=CLOCK_BOUNDS),
        demand=DEMANDS,
        cut_off=st.booleans(),
    ),
    st.builds(
        HelloReply,
        id=REPLY_IDS,
        epoch=SESSIONS,
        model=MODELS,
        clients=NUMBERS,
        cut_off=st.booleans(),
        brokers=BROKERS,
    ),
    st.builds(
        ClockReply,
        id=REPLY_IDS,
        sent_ns=NANOSECONDS,
        received_ns=NANOSECONDS,
        replied_ns=NANOSECONDS,
    ),
    st.builds(Disconnected, id=REPLY_IDS),
    st.builds(
        PublishersChanged,
        revision=NUMBERS,
        joined=PUBLISHERS,
        left=st.lists(
            st.builds(Departure, session=SESSIONS, next_sequences=ENDS), max_size=3
        ),
        ports=PORTS,
    ),
    st.builds(BrokersChanged, revision=NUMBERS, brokers=BROKERS),
    st.just(Farewell()),
    st.builds(
        Status,
        id=REPLY_IDS,
        epoch=SESSIONS,
        model=MODELS,
        uptime_s=FLOATS,
        clients=st.lists(
            st.builds(
                ClientStatus,
                role=ROLES,
                session=SESSIONS,
                address=TEXTS,
                topics=TOPIC_LISTS,
                idle_s=st.none() | FLOATS,
                broker=st.none() | TEXTS,
                name=TEXTS,
            ),
            max_size=3,
        ),
        forwarded=SEQUENCES,
        rejected=SEQUENCES,
        address=TEXTS,
        version=TEXTS,
        brokers=st.lists(
            st.builds(
                BrokerStatus,
                address=TEXTS,
                broker=TEXTS,
                version=TEXTS,
                clients=NUMBERS,
                alive=st.booleans(),
            ),
            max_size=3,
        ),
        registry=st.none()
        | st.builds(
            RegistryStatus, group=TEXTS, cut_off=st.booleans(), cut_off_s=FLOATS
        ),
    ),
    st.builds(Error, id=REPLY_IDS, code=TEXTS, detail=TEXTS),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)
REGISTER = {
    "type": "register",
    "id": 1,
    "versions": [1, 1],
    "role": "publisher",
    "topics": ["A"],
    "address": "10.0.0.1:5556",
    "clock": "realtime",
}


def to_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(REQUESTS)
def test_a_request_is_decoded_as_it_was_encoded(request: Request) -> None:
    assert messages.decode_request(messages.encode(request)) == request


@given(REPLIES)
def test_a_reply_is_decoded_as_it_was_encoded(reply: Reply) -> None:
    assert messages.decode_reply(messages.encode(reply)) == reply


@given(REQUESTS | REPLIES)
def test_a_message_is_one_json_object_with_a_type(message: Request | Reply) -> None:
    decoded = json.loads(messages.encode(message))

    assert isinstance(decoded, dict)
    assert isinstance(decoded["type"], str)


@given(REPLIES)
def test_a_reply_is_not_a_request(reply: Reply) -> None:
    with pytest.raises(ProtocolError):
        messages.decode_request(messages.encode(reply))


def test_fields_at_their_defaults_are_left_out() -> None:
    message = Heartbeat(id=1, session=2)

    assert json.loads(messages.encode(message)) == {
        "type": "heartbeat",
        "id": 1,
        "session": 2,
    }


def test_fields_may_come_in_any_order_with_the_type_last() -> None:
    data = b'{"session": 2, "id": 1, "type": "heartbeat"}'

    assert messages.decode_request(data) == Heartbeat(id=1, session=2)


def test_unknown_fields_are_ignored_in_a_message_and_in_its_parts() -> None:
    request = {**REGISTER, "colour": "red", "shape": {"corners": [1, None]}}
    publisher = {"session": 1, "topics": ["A"]}
    push: dict[str, Any] = {"type": "publishers_changed", "revision": 1}

    assert messages.decode_request(to_bytes(request)) == messages.decode_request(
        to_bytes(REGISTER)
    )
    assert messages.decode_reply(
        to_bytes({**push, "joined": [{**publisher, "colour": "red"}], "more": 1})
    ) == messages.decode_reply(to_bytes({**push, "joined": [publisher]}))


def test_null_means_the_same_as_leaving_out() -> None:
    request = messages.decode_request(
        to_bytes({**REGISTER, "model": None, "session": None})
    )

    assert request == messages.decode_request(to_bytes(REGISTER))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    for decode in (messages.decode_request, messages.decode_reply):
        try:
            message = decode(data)
        except ProtocolError:
            continue
        assert messages.encode(message)


@given(JSON_VALUES)
def test_any_json_is_a_message_or_a_protocol_error(value: Any) -> None:
    for decode in (messages.decode_request, messages.decode_reply):
        with pytest.raises(ProtocolError):
            decode(to_bytes(value))


@given(
    st.sampled_from(sorted(REGISTER)),
    JSON_VALUES,
)
def test_a_field_of_any_value_is_accepted_or_a_protocol_error(
    field: str, value: Any
) -> None:
    try:
        request = messages.decode_request(to_bytes({**REGISTER, field: value}))
    except ProtocolError:
        return
    assert messages.decode_request(messages.encode(request)) == request


@pytest.mark.parametrize("field", sorted(REGISTER))
def test_a_missing_field_is_an_error(field: str) -> None:
    incomplete = {key: value for key, value in REGISTER.items() if key != field}

    with pytest.raises(ProtocolError):
        messages.decode_request(to_bytes(incomplete))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "greeting"}, "greeting"),
        ({"type": None}, "type"),
        ({"id": "1"}, "id"),
        ({"id": 1.5}, "id"),
        ({"id": None}, "id"),
        ({"id": -1}, "id"),
        ({"id": 2**53}, "id"),
        ({"versions": 1}, "versions"),
        ({"versions": [1]}, "versions"),
        ({"versions": [1, 1, 1]}, "versions"),
        ({"versions": [1, True]}, "versions"),
        ({"versions": [-1, 1]}, "versions"),
        ({"versions": [1, 2**53]}, "versions"),
        ({"role": "broker"}, "broker"),
        ({"topics": "A"}, "topics"),
        ({"topics": [1]}, "topics"),
        ({"topics": {"A": 1}}, "topics"),
        ({"address": 5}, "address"),
        ({"model": "anarchic"}, "anarchic"),
        ({"session": -1}, "session"),
        ({"session": 2**53}, "session"),
        ({"session": 10**400}, "session"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it(
    change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ProtocolError, match=named):
        messages.decode_request(to_bytes({**REGISTER, **change}))


@pytest.mark.parametrize(
    "reply",
    [
        {"type": "publishers_changed", "revision": 1, "joined": [{"session": 1}]},
        {"type": "publishers_changed", "revision": 1, "left": [{"session": -1}]},
        {
            "type": "publishers_changed",
            "revision": 1,
            "joined": [{"session": 1, "topics": [], "address": 5}],
        },
        {
            "type": "publishers_changed",
            "revision": 1,
            "left": [{"session": 1, "next_sequences": {"A": -1}}],
        },
        {
            "type": "publishers_changed",
            "revision": 1,
            "left": [{"session": 1, "next_sequences": {"A": 2**53}}],
        },
        {"type": "publishers_changed", "revision": -1},
        {"type": "publishers_changed", "revision": 2**53},
        {"type": "alive", "id": 1, "known": True, "epoch": -1},
        {"type": "alive", "id": 1, "known": True, "epoch": 2**53},
        {"type": "alive", "id": 1, "known": True, "epoch": 1, "cut_off": 1},
        {
            "type": "alive",
            "id": 1,
            "known": True,
            "epoch": 1,
            "demand": {"forwarders": ["0" * 33]},
        },
        {
            "type": "alive",
            "id": 1,
            "known": True,
            "epoch": 1,
            "demand": {"forwarders": ["0"] * 257},
        },
        {"type": "publishers_changed", "revision": 1, "ports": {"A": 0}},
        {"type": "publishers_changed", "revision": 1, "ports": {"A": 65536}},
        {"type": "publishers_changed", "revision": 1, "ports": {"A": 1.5}},
        {"type": "publishers_changed", "revision": 1, "ports": {"A": None}},
        {"type": "publishers_changed", "revision": 1, "ports": {"A": ["h", 1]}},
        {"type": "brokers_changed", "brokers": []},
        {"type": "brokers_changed", "revision": 1, "brokers": "h:1"},
        {"type": "brokers_changed", "revision": 1, "brokers": [1]},
        {"type": "brokers_changed", "revision": 1, "brokers": ["h:1"] * 257},
        {"type": "hello_reply", "id": 1, "epoch": 1, "model": "centralized"},
        {
            "type": "hello_reply",
            "id": 1,
            "epoch": 1,
            "model": "centralized",
            "clients": -1,
        },
        {"type": "disconnected", "id": -2},
        {"type": "disconnected", "id": 2**53},
    ],
)
def test_parts_of_a_reply_are_as_strict_as_the_whole(reply: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        messages.decode_reply(to_bytes(reply))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 100_000, id="deep array"),
        pytest.param(b'{"a":' * 100_000, id="deep object"),
        pytest.param(b'{"id":' + b"[" * 100_000, id="deep field"),
        pytest.param(b'{"type":"status","id":' + b"9" * 5000 + b"}", id="huge int"),
        pytest.param(b'{"type":"status","id":1e999}', id="huge float"),
        pytest.param(b'{"type":"status","id":NaN}', id="not a number"),
        pytest.param(b'{"type":"status","id":1}{}', id="two objects"),
        pytest.param(b'{"type":"status","id":1', id="cut off"),
        pytest.param(b'{"type":"st\xfftus","id":1}', id="not UTF-8"),
        pytest.param(b'{"type":"\\ud800","id":1}', id="half a surrogate pair"),
        pytest.param(b"\x81\xa4type", id="MessagePack"),
        pytest.param('{"type":"status","id":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"type":"status","id":1}', id="byte order mark"),
    ],
)
def test_hostile_bytes_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        messages.decode_request(data)
    with pytest.raises(ProtocolError):
        messages.decode_reply(data)
    reply = explain_undecodable(data, ProtocolError("reason"))
    assert reply.code == messages.MALFORMED
    assert messages.encode(reply)


def test_a_topic_comes_from_a_port_of_the_broker_or_from_another_place() -> None:
    reply = messages.decode_reply(
        b'{"type":"publishers_changed","revision":1,"ports":{"a":7,"b":"10.0.0.2:7"}}'
    )

    assert isinstance(reply, PublishersChanged)
    assert reply.ports == {"a": 7, "b": "10.0.0.2:7"}


# The answer to what cannot be decoded


def explain(value: Any) -> Error:
    data = to_bytes(value)
    with pytest.raises(ProtocolError) as failure:
        messages.decode_request(data)
    return explain_undecodable(data, failure.value)


def test_the_error_reply_repeats_the_id_and_names_the_fault() -> None:
    reply = explain({**REGISTER, "id": 42, "role": "broker"})

    assert (reply.id, reply.code) == (42, messages.MALFORMED)
    assert "broker" in reply.detail


@pytest.mark.parametrize("value", [None, 3, [], "x", {}, {"id": "x"}, {"id": 1.5}])
def test_the_error_reply_has_id_minus_1_when_the_request_had_none(value: Any) -> None:
    assert explain(value).id == -1


@pytest.mark.parametrize(
    ("versions", "named"), [([2, 2], "version 2 of"), ([2, 5], "version 2 to 5 of")]
)
def test_a_client_of_other_versions_is_told_so_whatever_it_sends(
    versions: list[int], named: str
) -> None:
    reply = explain({"type": "register", "id": 7, "versions": versions, "role": 1})

    assert (reply.id, reply.code) == (7, messages.WRONG_VERSION)
    assert named in reply.detail
    assert "speaks 1" in reply.detail


@pytest.mark.parametrize(
    "message",
    [
        {"type": "register", "versions": [1, 2]},
        {"type": "register", "versions": "2"},
        {"type": "register", "versions": [2]},
        {"type": "heartbeat", "versions": [2, 2]},
        {"type": "register"},
    ],
)
def test_what_names_no_other_versions_is_malformed(message: dict[str, Any]) -> None:
    reply = explain({**message, "id": 7})

    assert (reply.id, reply.code) == (7, messages.MALFORMED)


@pytest.mark.parametrize("number", [-1, -2, 2**53, 2**64, 10**300])
def test_an_id_out_of_bounds_is_not_repeated(number: int) -> None:
    assert explain({"type": "status", "id": number}).id == -1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "weather", "rain": True}, "weather"),
        ({"type": "register"}, "register"),
        ({"type": "\x1b[2J"}, "\\x1b[2J"),
        ({"type": "disconnected", "id": "x"}, None),
        ({"type": 5}, None),
        ({}, None),
        ([], None),
    ],
)
def test_a_reply_of_an_unknown_type_is_told_from_a_malformed_one(
    message: Any, kind: str | None
) -> None:
    with pytest.raises(ProtocolError):
        messages.decode_reply(to_bytes(message))
    assert unknown_reply(to_bytes(message)) == kind


@given(st.binary(max_size=100) | JSON_VALUES.map(to_bytes))
def test_any_bytes_get_an_error_reply_that_can_be_sent(data: bytes) -> None:
    reply = explain_undecodable(data, ProtocolError("reason"))

    assert messages.decode_reply(messages.encode(reply)) == reply


def test_messages_cannot_be_changed() -> None:
    message = Heartbeat(id=1, session=2)

    with pytest.raises(AttributeError):
        message.id = 3  # type: ignore[misc]


def test_defaults_are_not_shared_between_messages() -> None:
    first, second = (
        msgspec.json.decode(
            b'{"type":"disconnect","id":1,"session":1}', type=Disconnect
        )
        for _ in range(2)
    )

    assert first.next_sequences == second.next_sequences == {}
    assert first.next_sequences is not second.next_sequences
