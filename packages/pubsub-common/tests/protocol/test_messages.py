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
from pubsub_common.protocol.messages import (
    Alive,
    ClientStatus,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Request,
    Status,
    StatusRequest,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.integers(-1, 2**64)
INTEGERS = st.integers(-(2**62), 2**62 - 1)
SESSIONS = st.integers(0, 2**53 - 1)
SEQUENCES = st.integers(0, 2**62 - 1)
NANOSECONDS = st.integers(-(2**62), 2**62 - 1)
FLOATS = st.floats(0, 1e12)
MODELS = st.sampled_from(("centralized", "decentralized"))
ROLES = st.sampled_from(("publisher", "subscriber"))
TOPIC_LISTS = st.lists(TEXTS, max_size=4)
ENDS = st.dictionaries(TEXTS, SEQUENCES, max_size=4)

REQUESTS = st.one_of(
    st.builds(
        Register,
        id=IDS,
        version=INTEGERS,
        role=ROLES,
        topics=TOPIC_LISTS,
        address=TEXTS,
        clock=TEXTS,
        model=st.none() | MODELS,
        session=st.none() | SESSIONS,
    ),
    st.builds(
        Heartbeat,
        id=IDS,
        session=SESSIONS,
        revision=INTEGERS,
        clock=st.none()
        | st.builds(ClockOffset, offset_ns=NANOSECONDS, bound_ns=SEQUENCES),
    ),
    st.builds(ClockRequest, id=IDS, sent_ns=NANOSECONDS),
    st.builds(Disconnect, id=IDS, session=SESSIONS, next_sequences=ENDS),
    st.builds(StatusRequest, id=IDS),
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
        id=IDS,
        session=SESSIONS,
        epoch=SESSIONS,
        lease_s=FLOATS.filter(lambda seconds: seconds > 0),
        model=MODELS,
        revision=INTEGERS,
        ports=st.dictionaries(TEXTS, st.integers(1, 65535), max_size=3),
        publishers=PUBLISHERS,
    ),
    st.builds(
        Alive,
        id=IDS,
        epoch=SESSIONS,
        known=st.booleans(),
        revision=INTEGERS,
        publishers_clock=st.none()
        | st.builds(ClockRange, low_ns=INTEGERS, high_ns=INTEGERS),
    ),
    st.builds(
        ClockReply,
        id=IDS,
        sent_ns=NANOSECONDS,
        received_ns=NANOSECONDS,
        replied_ns=NANOSECONDS,
    ),
    st.builds(Disconnected, id=IDS),
    st.builds(
        PublishersChanged,
        revision=INTEGERS,
        joined=PUBLISHERS,
        left=st.lists(
            st.builds(Departure, session=SESSIONS, next_sequences=ENDS), max_size=3
        ),
    ),
    st.builds(Farewell, epoch=SESSIONS),
    st.builds(
        Status,
        id=IDS,
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
                idle_s=FLOATS,
            ),
            max_size=3,
        ),
        forwarded=SEQUENCES,
        rejected=SEQUENCES,
    ),
    st.builds(Error, id=IDS, code=TEXTS, detail=TEXTS),
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
    "version": 1,
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
        ({"colour": "red"}, "colour"),
        ({"type": "hello"}, "hello"),
        ({"type": None}, "type"),
        ({"id": "1"}, "id"),
        ({"id": 1.5}, "id"),
        ({"id": None}, "id"),
        ({"version": True}, "version"),
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
            "joined": [{"session": 1, "topics": [], "colour": "red"}],
        },
        {
            "type": "publishers_changed",
            "revision": 1,
            "left": [{"session": 1, "next_sequences": {"A": -1}}],
        },
        {
            "type": "publishers_changed",
            "revision": 1,
            "left": [{"session": 1, "next_sequences": {"A": 2**62}}],
        },
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
    reply = messages.explain_undecodable(data, ProtocolError("reason"))
    assert reply.code == messages.MALFORMED
    assert messages.encode(reply)


# The answer to what cannot be decoded


def explain(value: Any) -> Error:
    data = to_bytes(value)
    with pytest.raises(ProtocolError) as failure:
        messages.decode_request(data)
    return messages.explain_undecodable(data, failure.value)


def test_the_error_reply_repeats_the_id_and_names_the_fault() -> None:
    reply = explain({**REGISTER, "id": 42, "role": "broker"})

    assert (reply.id, reply.code) == (42, messages.MALFORMED)
    assert "broker" in reply.detail


@pytest.mark.parametrize("value", [None, 3, [], "x", {}, {"id": "x"}, {"id": 1.5}])
def test_the_error_reply_has_id_minus_1_when_the_request_had_none(value: Any) -> None:
    assert explain(value).id == -1


def test_a_request_of_another_version_is_told_so_even_with_unknown_fields() -> None:
    reply = explain({"type": "register", "id": 7, "version": 2, "shape": "new"})

    assert (reply.id, reply.code) == (7, messages.WRONG_VERSION)
    assert "version 2" in reply.detail
    assert "speaks 1" in reply.detail


@pytest.mark.parametrize("number", [2**63, 2**64, 10**300])
def test_a_large_id_is_repeated_exactly(number: int) -> None:
    reply = explain({"type": "register", "id": number})

    assert json.loads(messages.encode(reply))["id"] == number


@given(st.binary(max_size=100) | JSON_VALUES.map(to_bytes))
def test_any_bytes_get_an_error_reply_that_can_be_sent(data: bytes) -> None:
    reply = messages.explain_undecodable(data, ProtocolError("reason"))

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
