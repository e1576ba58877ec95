"""Valid inputs of every kind, from which fuzzing starts.

Control messages are built from their types, so a new type needs a line in `CONTROL`;
`test_fuzz.py` checks this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from pubsub_broker.registry.snapshot import (
    FORMAT,
    VERSION,
    Snapshot,
    SnapshotClient,
    encode_snapshot,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import (
    Batch,
    batch_prefix,
    encode_batch,
    encode_batch_body,
)
from pubsub_common.protocol.events import (
    encode_body,
    encode_event,
    encode_ready_reply,
    event_prefix,
    ready_topic,
)
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
    Latency,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    RegistryStatus,
    Reply,
    Request,
    Status,
    StatusRequest,
    Vouched,
    VouchedChanged,
)
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
    position_prefix,
    recovery_topic,
)
from pubsub_common.protocol.versions import VERSIONS

# Topics and the session that the targets know.
TOPICS = ("A", "température")
SESSION = 2**48
ADDRESS = "10.0.0.2:5556"
_STAMP = 1_700_000_000_000_000_000


def _register(number: int, **changes: object) -> Register:
    fields: dict[str, object] = {
        "id": number,
        "versions": VERSIONS,
        "role": "publisher",
        "topics": list(TOPICS),
        "address": ADDRESS,
        "clock": "realtime",
    }
    return Register(**{**fields, **changes})  # type: ignore[arg-type]


_SUBSCRIBER = {"role": "subscriber", "address": "10.0.0.3", "topics": ["A"]}
_INFO = PublisherInfo(session=SESSION, topics=["A"], address=ADDRESS)

REQUESTS: list[Request] = [
    _register(1),
    _register(2, **_SUBSCRIBER, model="decentralized"),
    _register(3, session=1, topics=["A"]),
    _register(4, **_SUBSCRIBER, session=2, clock="monotonic"),
    _register(5, versions=(2, 3)),
    _register(12, strengths={"A": 5}),
    _register(14, **{**_SUBSCRIBER, "topics": ["A", "a/#", "+/b"]}),
    _register(15, name="sensors"),
    _register(16, place="9f" * 16),
    Heartbeat(id=6, session=1),
    Heartbeat(
        id=7,
        session=2,
        revision=4,
        clock=ClockOffset(offset_ns=-1500, bound_ns=40_000),
    ),
    Heartbeat(id=13, session=2, lost={"A": 12}),
    Heartbeat(id=14, session=1, published={"A": 12, "b/c": 0}),
    Heartbeat(
        id=15,
        session=2,
        latency=Latency(count=9, p50_ns=-5, p99_ns=70_000, max_ns=80_000),
    ),
    ClockRequest(id=8, sent_ns=_STAMP),
    Disconnect(id=9, session=1),
    Disconnect(id=10, session=1, next_sequences={"A": 1000, TOPICS[1]: 0}),
    StatusRequest(id=11),
    StatusRequest(id=12, from_session=1),
    Hello(id=13),
]

REPLIES: list[Reply] = [
    Registered(id=1, version=1, session=2, epoch=99, lease_s=6.0, model="centralized"),
    Registered(
        id=1,
        version=1,
        session=2,
        epoch=99,
        lease_s=6.0,
        model="decentralized",
        revision=3,
        ports={"A": 40123},
        publishers=[_INFO, PublisherInfo(session=3, topics=["A"], strengths={"A": 2})],
    ),
    Registered(
        id=1,
        version=1,
        session=2,
        epoch=99,
        lease_s=6.0,
        model="centralized",
        demand=Demand(subscriptions=8, size=664, forwarders=["00c0ffee00c0ffee"]),
        owner_idle_s=30.0,
        brokers=["10.0.0.1:5555", "10.0.0.2:5555"],
    ),
    Alive(id=2, epoch=99, known=True, revision=4, demand=Demand(subscriptions=8)),
    Alive(id=2, epoch=100, known=False),
    Alive(
        id=3,
        epoch=99,
        known=True,
        publishers_clock=ClockRange(low_ns=-41_500, high_ns=38_500),
    ),
    ClockReply(id=0, sent_ns=_STAMP, received_ns=_STAMP + 1, replied_ns=_STAMP + 2),
    HelloReply(
        id=13,
        epoch=99,
        model="centralized",
        clients=7,
        cut_off=True,
        brokers=["10.0.0.1:5555", "10.0.0.2:5555"],
    ),
    Alive(id=3, epoch=99, known=True, cut_off=True),
    Disconnected(id=9),
    Registered(
        id=1,
        version=1,
        session=2,
        epoch=99,
        lease_s=6.0,
        model="decentralized",
        vouched=[Vouched(key="0" * 40, topics=["A", "b/#"])],
        listeners={SESSION: 2},
    ),
    VouchedChanged(revision=2, vouched=[Vouched(key="0" * 40)]),
    PublishersChanged(revision=1, joined=[_INFO], ports={"A": 40123}),
    PublishersChanged(
        revision=4, left=[Departure(session=SESSION, next_sequences={"A": 1000})]
    ),
    PublishersChanged(revision=5, ports={"A": "10.0.0.2:40123"}),
    BrokersChanged(revision=6, brokers=["10.0.0.1:5555"]),
    Farewell(),
    Status(
        id=1,
        epoch=99,
        model="centralized",
        uptime_s=12.5,
        clients=[
            ClientStatus(
                role="publisher",
                session=1,
                address=ADDRESS,
                topics=["A"],
                idle_s=0.25,
            )
        ],
        expected=[
            ClientStatus(
                role="subscriber",
                session=2,
                address="10.0.0.3",
                topics=["A"],
                idle_s=9.0,
                lost={"A": 3},
            )
        ],
        forwarded=1000,
        rejected=2,
        next_session=3,
        brokers=[
            BrokerStatus(
                address="10.0.0.1:5555",
                broker="63",
                version="0.1.0",
                clients=1,
                alive=True,
            )
        ],
        registry=RegistryStatus(group="lab", cut_off=True, cut_off_s=1.5),
    ),
    Error(id=1, code=messages.WRONG_MODEL, detail="the other model"),
    Error(id=-1, code=messages.UNKNOWN_SESSION, detail="unknown"),
]


def lines(things: Iterable[Request | Reply]) -> bytes:
    """Several messages as one input: JSON has no line breaks in it."""
    return b"\n".join(map(messages.encode, things))


REQUEST_SEEDS = [messages.encode(request) for request in REQUESTS]
# With unknown fields of any shape.
TRACE_SEEDS = [
    *REQUEST_SEEDS,
    b'{"type":"status","id":1,"x":[[[{"key":{"y":[1e9,-0.5,null,true,"\\ud83d\\ude00"]}}]]]}',
    b'{"type":"heartbeat","id":1,"session":2,"vouched":%d,"":""}' % 10**300,
]
REPLY_SEEDS = [messages.encode(reply) for reply in REPLIES]
BROKER_SEEDS = [*REQUEST_SEEDS, lines(REQUESTS), lines(REQUESTS[1:3] + REQUESTS)]
CLIENT_SEEDS = [
    *REPLY_SEEDS,
    lines(REPLIES),
    lines([REPLIES[1], REPLIES[8], REPLIES[3], REPLIES[1]]),
    lines([REPLIES[0], REPLIES[7], REPLIES[9], REPLIES[11]]),
]

EVENT_SEEDS = [
    encode_event("A", ADDRESS, SESSION, 0, _STAMP, b"hello"),
    encode_event(TOPICS[1], ADDRESS, 2**53 - 1, 300, -1, b""),
    encode_event("A", ADDRESS, SESSION, 2**53 - 1, 2**64 - 1, bytes(300)),
    event_prefix("A") + encode_body((ADDRESS, SESSION, 1, 2, b"x", "more", {"a": [1]})),
]
EVENT_BODY_SEEDS = [
    encode_body((ADDRESS, SESSION, 7, _STAMP, b"hello")),
    encode_body((ADDRESS, SESSION, 2**40, -(2**63), bytes(70))),
]
BATCH_SEEDS = [
    encode_batch(Batch(ADDRESS, SESSION, 0, _STAMP, [0], [b"one"], "A")),
    encode_batch(
        Batch(
            ADDRESS, SESSION, 5, 2**64 - 1, [0, 2**40, -3], [b"", b"b", b"c" * 40], "A"
        )
    ),
    encode_batch(Batch(ADDRESS, 1, 0, -1, list(range(20)), [b"x"] * 20, TOPICS[1])),
    batch_prefix("A")
    + encode_body((ADDRESS, SESSION, 1, 2, [0], [b"x"], "more", None)),
]
BATCH_BODY_SEEDS = [
    encode_batch_body(ADDRESS, SESSION, 0, [_STAMP], [b"one"]),
    encode_batch_body(ADDRESS, SESSION, 9, [_STAMP, _STAMP + 5], [b"one", b""]),
]
READY_SEEDS = [
    ready_topic("A", SESSION),
    ready_topic(TOPICS[1], 2**53 - 1, 4096),
    ready_topic("A", 0, 1, 2**16 - 1),
]
ANSWER_SEEDS = [
    encode_ready_reply("A", SESSION, ADDRESS, 1, 7),
    encode_ready_reply(TOPICS[1], 5, ADDRESS, SESSION, 0, 3),
]


def framed(frames: Iterable[bytes]) -> bytes:
    """Several frames as one input: each begins with its length in two bytes."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


RECEIVE_SEEDS = [
    framed([ANSWER_SEEDS[0], *EVENT_SEEDS]),
    framed(
        [
            encode_event("A", ADDRESS, SESSION, n, _STAMP, b"x")
            for n in (0, 1, 2, 5, 4, 4)
        ]
    ),
    framed([*BATCH_SEEDS, *ANSWER_SEEDS, *EVENT_SEEDS]),
    framed(
        [encode_event("A", ADDRESS, SESSION, n, _STAMP, bytes(4096)) for n in range(3)]
    ),
]

# Recovery

_QUESTIONS = [
    RecoveryRequest("A", SESSION, 5, 3, 9, 1),
    RecoveryRequest("A", SESSION, SESSION, 0, 2**53 - 1, 2**16 - 1),
    RecoveryRequest(TOPICS[1], 2**53 - 1, 0, 4, 4, 0),
]
QUESTION_SEEDS = [recovery_topic(question) for question in _QUESTIONS]
PREFIX_SEEDS = [position_prefix(topic) for topic in TOPICS]
POSITION_SEEDS = [encode_position(topic, ADDRESS, SESSION, 7) for topic in TOPICS]
RECOVERED_SEEDS = [
    encode_recovery_reply(
        _QUESTIONS[0], ADDRESS, 4, [_STAMP, _STAMP + 1], [b"four", b"five"]
    ),
    encode_recovery_reply(_QUESTIONS[0], ADDRESS, 10, [], []),
    encode_recovery_reply(_QUESTIONS[1], ADDRESS, 0, [0] * 20, [b"x"] * 20),
]
SUBSCRIPTION_SEEDS = [
    framed(b"\x01" + raw for raw in [*READY_SEEDS, *QUESTION_SEEDS, *PREFIX_SEEDS]),
    framed([b"\x01" + READY_SEEDS[0], b"\x00" + READY_SEEDS[0], b"\x01A\0"]),
    framed(
        [
            b"\x01" + PREFIX_SEEDS[0],
            b"\x00" + PREFIX_SEEDS[0],
            b"\x01" + PREFIX_SEEDS[1],
        ]
    ),
]
_HOLE = [encode_event("A", ADDRESS, SESSION, n, _STAMP, b"x") for n in (0, 3, 4)]
_ANSWERED = RecoveryRequest("A", SESSION, SESSION, 1, 2, 1)
RECEIVE_SEEDS += [
    framed([*_HOLE, POSITION_SEEDS[0]]),
    framed(
        [*_HOLE, encode_recovery_reply(_ANSWERED, ADDRESS, 1, [5, 6], [b"1", b"2"])]
    ),
    framed(
        [
            *_HOLE,
            encode_recovery_reply(_ANSWERED, ADDRESS, 2, [6], [b"2"]),
            *EVENT_SEEDS,
        ]
    ),
    framed(
        [*_HOLE, encode_recovery_reply(_ANSWERED, ADDRESS, 3, [], []), *RECOVERED_SEEDS]
    ),
]

# A broker's file

_SNAPSHOT = Snapshot(
    written_ns=_STAMP,
    clients=[
        SnapshotClient(role="publisher", session=1, address=ADDRESS, topics=["A"]),
        SnapshotClient(
            role="subscriber",
            session=2,
            address="10.0.0.3",
            topics=list(TOPICS),
            idle_s=1.5,
        ),
    ],
)


def sealed(content: bytes) -> bytes:
    """A file with this content and the right checksum."""
    envelope = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    head = messages.encode(envelope)
    return head[:-1] + b',"content":' + content + b"}"


SNAPSHOT_SEEDS = [
    encode_snapshot(_SNAPSHOT)[:-1],
    b"content\n" + msgspec.json.encode(_SNAPSHOT),
]
