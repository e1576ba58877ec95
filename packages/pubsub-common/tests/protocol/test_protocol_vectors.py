"""docs/protocol.md and its vectors are true: against the code."""

from __future__ import annotations

import re
import typing
from typing import Any

import msgspec
import pytest
from support.paths import DOCS
from support.protocol_vectors import VECTORS, message_lines

from pubsub_common import defaults
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import (
    Batch,
    cut_to_limit,
    decode_batch_body,
    encode_batch,
    item_at,
)
from pubsub_common.protocol.events import (
    Event,
    decode_event,
    decode_ready_reply,
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    ready_topic,
)
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    REPLY_MAX_BYTES,
    REPLY_MAX_EVENTS,
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
    encode_position,
    encode_recovery_reply,
    parse_position_prefix,
    parse_recovery_request,
    position_prefix,
    recovery_topic,
)
from pubsub_common.protocol.undecodable import explain_undecodable
from pubsub_common.protocol.versions import VERSIONS, spoken

DOCUMENT = (DOCS / "protocol.md").read_text("utf-8")


REQUESTS = message_lines("requests")
REPLIES = message_lines("replies")


def event_of(vector: dict[str, Any]) -> Event:
    return Event(
        publisher=vector["publisher"],
        session=vector["session"],
        sequence=vector["sequence"],
        published_ns=int(vector["published_ns"]),
        payload=bytes.fromhex(vector["payload"]),
        topic=vector["topic"],
    )


# Vectors


@pytest.mark.parametrize("line", REQUESTS)
def test_a_request_is_read_and_written_as_documented(line: str) -> None:
    request = messages.decode_request(line.encode())

    assert messages.encode(request) == line.encode()


@pytest.mark.parametrize("line", REPLIES)
def test_a_reply_is_read_and_written_as_documented(line: str) -> None:
    reply = messages.decode_reply(line.encode())

    assert messages.encode(reply) == line.encode()


@pytest.mark.parametrize("vector", VECTORS["accepted_requests"])
def test_another_way_to_write_a_request_means_the_same(vector: dict[str, Any]) -> None:
    message, means = (msgspec.json.encode(vector[key]) for key in ("message", "means"))

    assert messages.decode_request(message) == messages.decode_request(means)


@pytest.mark.parametrize("vector", VECTORS["accepted_replies"])
def test_another_way_to_write_a_reply_means_the_same(vector: dict[str, Any]) -> None:
    message, means = (msgspec.json.encode(vector[key]) for key in ("message", "means"))

    assert messages.decode_reply(message) == messages.decode_reply(means)


@pytest.mark.parametrize("line", [*REQUESTS, *REPLIES])
def test_the_order_of_fields_does_not_matter(line: str) -> None:
    decode = messages.decode_request if line in REQUESTS else messages.decode_reply
    backwards = dict(reversed(msgspec.json.decode(line).items()))

    message = decode(msgspec.json.encode(backwards))

    assert messages.encode(message) == line.encode()


@pytest.mark.parametrize("vector", VECTORS["refused_requests"])
def test_a_bad_request_is_answered_as_documented(vector: dict[str, Any]) -> None:
    # Those that only the broker's core can judge are decoded here all the same;
    # its answers are tested in pubsub-broker.
    data = vector["text"].encode()
    try:
        messages.decode_request(data)
    except ProtocolError as error:
        reply = explain_undecodable(data, error)
        assert (reply.id, reply.code) == (vector["id"], vector["code"])
    else:
        assert vector["code"] != messages.MALFORMED


@pytest.mark.parametrize("vector", VECTORS["events"])
def test_an_event_is_read_and_written_as_documented(vector: dict[str, Any]) -> None:
    event = event_of(vector)
    frame = encode_event(
        event.topic,
        event.publisher,
        event.session,
        event.sequence,
        event.published_ns,
        event.payload,
    )

    assert frame.hex() == vector["frame"]
    assert decode_event(frame) == event


@pytest.mark.parametrize("vector", VECTORS["accepted_events"])
def test_other_encodings_of_an_event_are_read(vector: dict[str, Any]) -> None:
    assert decode_event(bytes.fromhex(vector["frame"])) == event_of(vector)


@pytest.mark.parametrize("vector", VECTORS["refused_events"])
def test_what_is_documented_as_no_event_is_none(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])

    with pytest.raises(ProtocolError):
        decode_event(frame)


def batch_of(vector: dict[str, Any]) -> Batch:
    return Batch(
        publisher=vector["publisher"],
        session=vector["session"],
        sequence=vector["sequence"],
        published_ns=int(vector["published_ns"]),
        offsets_ns=[int(part) for part in vector["offsets_ns"]],
        payloads=[bytes.fromhex(part) for part in vector["payloads"]],
        topic=vector["topic"],
    )


@pytest.mark.parametrize("vector", VECTORS["batches"])
def test_a_batch_is_read_and_written_as_documented(vector: dict[str, Any]) -> None:
    batch = batch_of(vector)
    frame = bytes.fromhex(vector["frame"])

    assert encode_batch(batch) == frame
    assert cut_to_limit(frame, 100) == (batch.topic, frame, len(batch))


@pytest.mark.parametrize("vector", VECTORS["accepted_batches"])
def test_other_encodings_of_a_batch_are_read(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    batch = item_at(frame, frame.index(b"\0"))

    assert isinstance(batch, Batch)
    batch.topic = vector["topic"]
    assert batch == batch_of(vector)


@pytest.mark.parametrize("vector", VECTORS["refused_batches"])
def test_what_is_documented_as_no_batch_is_none(vector: dict[str, Any]) -> None:
    body = bytes.fromhex(vector["frame"])[3:]

    with pytest.raises(ProtocolError):
        decode_batch_body(body)


@pytest.mark.parametrize("vector", VECTORS["refused_private_topics"])
def test_what_is_documented_as_no_private_topic_is_none(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["topic"])

    assert parse_ready_request(raw) is None
    assert parse_recovery_request(raw) is None
    assert parse_position_prefix(raw) is None


@pytest.mark.parametrize("vector", VECTORS["ready"])
def test_the_ready_handshake_is_as_documented(vector: dict[str, Any]) -> None:
    topic, subscriber = vector["topic"], vector["subscriber"]
    question = bytes.fromhex(vector["ready_topic"])
    session, sequence = vector["session"], vector["next_sequence"]
    answer = bytes.fromhex(vector["answer"])

    again = vector["topics"], vector["attempt"]
    assert ready_topic(topic, subscriber, *again) == question
    assert parse_ready_request(question) == (topic, subscriber, *again)
    assert (
        encode_ready_reply(
            topic, subscriber, vector["publisher"], session, sequence, *again
        )
        == answer
    )
    assert decode_ready_reply(answer) == (
        topic,
        Event(vector["publisher"], session, sequence, 0, b""),
    )


@pytest.mark.parametrize("vector", VECTORS["recovery"])
def test_recovery_is_as_documented(vector: dict[str, Any]) -> None:
    numbers = (
        vector[name] for name in ("session", "subscriber", "first", "last", "attempt")
    )
    question = RecoveryRequest(vector["topic"], *numbers)
    raw, frame = (bytes.fromhex(vector[name]) for name in ("recovery_topic", "answer"))
    events = [
        (int(event["published_ns"]), bytes.fromhex(event["payload"]))
        for event in vector["events"]
    ]
    stamps_ns = [stamp for stamp, _ in events]
    payloads = [payload for _, payload in events]

    assert recovery_topic(question) == raw
    assert parse_recovery_request(raw) == question
    assert (
        encode_recovery_reply(
            question, vector["publisher"], vector["sequence"], stamps_ns, payloads
        )
        == frame
    )
    decoded = decode_recovery_reply(frame)
    assert decoded is not None
    assert decoded[0] == question
    assert [(each.published_ns, each.payload) for each in decoded[1]] == events


@pytest.mark.parametrize("vector", VECTORS["positions"])
def test_positions_are_as_documented(vector: dict[str, Any]) -> None:
    topic, publisher = vector["topic"], vector["publisher"]
    session, number = vector["session"], vector["next_sequence"]
    raw, frame = (
        bytes.fromhex(vector[name]) for name in ("position_topic", "position")
    )

    assert position_prefix(topic) == raw
    assert parse_position_prefix(raw) == topic
    assert encode_position(topic, publisher, session, number) == frame
    assert decode_position(frame) == (topic, Event(publisher, session, number, 0, b""))


def test_the_figures_of_recovery_are_the_documented_ones() -> None:
    text = " ".join(DOCUMENT.split())

    assert f"at most {REPLY_MAX_EVENTS} events" in text
    assert f"a single one, {REPLY_MAX_BYTES} bytes" in text
    assert f"at once, and then every {POSITION_INTERVAL_S:g} seconds." in text


# Tables

MESSAGES: dict[str, type[msgspec.Struct]] = {
    str(kind.__struct_config__.tag): kind
    for union in (messages.Request, messages.Reply)
    for kind in typing.get_args(union)
}
PARTS: dict[str, type[msgspec.Struct]] = {
    "publisher": messages.PublisherInfo,
    "departure": messages.Departure,
    "broker": messages.BrokerStatus,
    "client": messages.ClientStatus,
    "clock offset": messages.ClockOffset,
    "clock range": messages.ClockRange,
    "demand": messages.Demand,
    "latency": messages.Latency,
    "registry": messages.RegistryStatus,
    "vouched": messages.Vouched,
}


def table_below(heading: str) -> list[list[str]]:
    """The rows, cell by cell, of the first table below a heading."""
    [_, below] = re.split(rf"^#+ {re.escape(heading)}$", DOCUMENT, flags=re.MULTILINE)
    rows: list[list[str]] = []
    for line in below.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows or line.startswith("#"):
            break
    return rows[2:]


def default_of(field: msgspec.inspect.Field) -> str:
    """A field's default as the document writes it: JSON, or nothing."""
    if field.required:
        return ""
    factory = field.default_factory
    value = field.default if factory is msgspec.NODEFAULT else factory()
    return msgspec.json.encode(value).decode()


def described(kind: type[msgspec.Struct]) -> list[list[str]]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return [[f"`{field.name}`", default_of(field)] for field in info.fields]


@pytest.mark.parametrize("tag", sorted(MESSAGES))
def test_every_field_of_a_message_is_documented_with_its_default(tag: str) -> None:
    rows = table_below(f"`{tag}`")

    assert [[row[0], row[2]] for row in rows] == described(MESSAGES[tag])


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_field_of_a_part_is_documented_with_its_default(name: str) -> None:
    rows = table_below(name)

    assert [[row[0], row[2]] for row in rows] == described(PARTS[name])


def test_every_message_has_a_heading_and_a_vector() -> None:
    headings = re.findall(r"^#### `(\w+)`$", DOCUMENT, re.MULTILINE)
    vectors = {msgspec.json.decode(line)["type"] for line in [*REQUESTS, *REPLIES]}

    assert sorted(headings) == sorted(MESSAGES)
    assert vectors == set(MESSAGES)


@pytest.mark.parametrize("tag", sorted(MESSAGES))
def test_every_field_of_a_message_is_in_some_vector(tag: str) -> None:
    lines = [msgspec.json.decode(line) for line in [*REQUESTS, *REPLIES]]
    seen = {name for line in lines if line["type"] == tag for name in line}

    assert seen == {"type", *MESSAGES[tag].__struct_fields__}


def test_every_error_code_is_documented_and_no_other() -> None:
    codes = {
        value
        for name, value in vars(messages).items()
        if name.isupper() and isinstance(value, str)
    }
    rows = table_below("Error codes")

    assert {row[0].strip("`") for row in rows} == codes


def test_the_version_is_the_documented_one() -> None:
    assert f"Version {spoken(VERSIONS)}." in DOCUMENT


def test_the_limits_are_the_documented_ones() -> None:
    rows = table_below("Limits")

    documented = {row[0].strip("`"): row[1] for row in rows}
    assert documented == {name: str(getattr(defaults, name)) for name in documented}
    # These are of no message.
    others = {
        "MAX_EVENT_COUNT",
        "MAX_FILE_BYTES",
        "MAX_CLIENT_LIST_BYTES",
        "MAX_LOST_TOPICS",
    }
    assert {name for name in vars(defaults) if name.startswith("MAX_")} - set(
        documented
    ) == others


def test_the_clocks_are_the_documented_ones() -> None:
    [row] = [row for row in table_below("`register`") if row[0] == "`clock`"]

    assert re.findall(r"`(\w+)`", row[3]) == list(defaults.CLOCKS)
