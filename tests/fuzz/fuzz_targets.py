"""The targets of fuzzing: each takes bytes, and may only raise `ProtocolError`.

Some also check the result: a decoded input can be encoded again, and decodes to the
same.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import fuzz_seeds as seeds
import msgspec
import zmq
from support.core_steps import RecordedRequests, new_performer

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.registry.snapshot import (
    Expected,
    SnapshotError,
    decode_snapshot,
    encode_snapshot,
)
from pubsub_broker.transport.control_trace import ControlTrace
from pubsub_common.client.identity import Identity
from pubsub_common.client.session import ClientSession
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import (
    Batch,
    cut_to_limit,
    decode_batch_body,
    is_batch,
)
from pubsub_common.protocol.events import (
    decode_body,
    decode_event,
    decode_ready_reply,
    encode_body,
    encode_event,
    parse_ready_request,
    parse_ready_topic,
    ready_topic,
    topic_end,
)
from pubsub_common.protocol.messages import PublishersChanged
from pubsub_common.protocol.recovery_messages import (
    decode_position,
    decode_recovery_reply,
    encode_position,
    encode_recovery_reply,
    parse_position_prefix,
    parse_recovery_request,
    position_prefix,
    recovery_topic,
)
from pubsub_common.protocol.undecodable import explain_undecodable, unknown_reply
from pubsub_publisher.core import EndConnection, PublisherCore
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_state import TopicState
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath

# A request or reply is answered within this time, or was lost.
_STEP_S: Final = 1.7


@dataclasses.dataclass(frozen=True)
class Target:
    """``run`` returns a value; its type shows what happened."""

    name: str
    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    declared: tuple[type[Exception], ...] = (ProtocolError,)


# Events


def _event(frame: bytes) -> object:
    event = decode_event(frame, 5)
    again = encode_event(
        event.topic,
        event.publisher,
        event.session,
        event.sequence,
        event.published_ns,
        event.payload,
    )
    assert decode_event(again, 5) == event
    return event


def _split(frame: bytes) -> object:
    end = topic_end(frame)
    assert end > 0
    assert b"\0" not in frame[:end]
    assert frame[end : end + 1] == b"\0"
    return end


def _body(body: bytes) -> object:
    """Like the receive path, on bytes and on memory of libzmq's. The path has checked
    the first byte before."""
    if not body.startswith(b"\x95"):
        return None
    event = decode_body(body)
    assert decode_body(memoryview(body)) == event
    fields = event.publisher, event.session, event.sequence
    again = encode_body((*fields, event.published_ns, event.payload))
    assert decode_body(again) == event
    return event


def _check_batch(batch: Batch) -> None:
    events = batch.events()
    assert len(events) == len(batch) > 0
    assert [e.sequence for e in events] == list(
        range(batch.sequence, batch.sequence + len(batch))
    )
    stamps = [event.published_ns for event in events]
    assert stamps == [batch.published_ns + offset for offset in batch.offsets_ns]


def _batch_body(body: bytes) -> object:
    batch = decode_batch_body(body)
    assert decode_batch_body(memoryview(body)) == batch
    _check_batch(batch)
    return batch


def _counted(frame: bytes) -> object:
    for limit in (2, 2**31):
        topic, kept, count = cut_to_limit(frame, limit)
        assert 1 <= count <= limit
        end = kept.index(b"\0")
        assert kept[:end].decode() == topic
        if is_batch(kept, end):
            assert len(decode_batch_body(kept[end + 2 :])) == count
        else:
            assert kept is frame
            assert count == 1
    return count


def _question(raw: bytes) -> object:
    question = parse_ready_request(raw)
    assert (question is None) == (parse_ready_topic(raw) is None)
    if question is not None:
        # The requester receives the answer only under the very bytes of its request.
        assert ready_topic(*question) == raw
    return question


def _answer(frame: bytes) -> object:
    answer = decode_ready_reply(frame)
    if answer is not None:
        assert frame.startswith(b"\xff" + answer[0].encode() + b"\xff")
    return answer


class _Frames:
    """A substitute for a `SubSocket`: frames that wait to be received."""

    only_session = None
    patience_ms = -1
    lane = None
    interrupt_message = b"somebody could interrupt"

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.lock = threading.RLock()
        self.other_sessions: set[int] = set()
        self.waiting = deque(frames)

    def repeats(self, session: int) -> bool:
        return False

    def receive_into(self, buffer: memoryview, *, flags: int = 0) -> int:
        if not self.waiting:
            raise zmq.Again
        frame = self.waiting.popleft()
        buffer[: len(frame)] = frame
        return len(frame)

    def receive_frame(self, _flags: int) -> Any:
        if not self.waiting:
            raise zmq.Again
        return zmq.Frame(self.waiting.popleft())

    def drop_parts(self, _buffer: memoryview) -> bool:
        return False

    def events(self) -> int:
        return zmq.POLLIN if self.waiting else 0


def _unframed(data: bytes) -> list[bytes]:
    frames = []
    while data:
        size = int.from_bytes(data[:2], "big")
        frames.append(data[2 : 2 + size])
        data = data[2 + size :]
    return frames


def _receive_path(data: bytes) -> object:
    """The receive path, from frames to counted events: in bursts, in batches, one by
    one, and with recovery."""
    plain = _taken_in(data, _fetch)
    assert _taken_in(data, _fetch_batches) == plain
    assert _taken_in(data, _stream) == plain
    stamps, _, _ = _taken_in(data, _fetch, recovering=True)
    assert _taken_in(data, _stream, recovering=True)[0] == stamps
    for stream in {(session, topic) for session, topic, _ in stamps}:
        numbers = [number for *its, number in stamps if tuple(its) == stream]
        assert numbers == sorted(set(numbers))
    return type(stamps)


# Takes some of the frames that wait at a socket.
Take = Callable[[FastPath, SubSocket, EventQueue], list[Any]]


def _fetch(fast_path: FastPath, sub_socket: SubSocket, queue: EventQueue) -> list[Any]:
    fast_path.take(sub_socket, batches=False)
    items, queue.incoming = queue.incoming, []
    return items


def _fetch_batches(
    fast_path: FastPath, sub_socket: SubSocket, queue: EventQueue
) -> list[Any]:
    fast_path.take(sub_socket, batches=True)
    items, queue.incoming = queue.incoming, []
    return items


def _stream(fast_path: FastPath, sub_socket: SubSocket, queue: EventQueue) -> list[Any]:
    items: list[Any] = []
    take_next = fast_path.waiting_in(sub_socket)
    while take_next(-1):
        items += queue.burst
    return items + _fetch(fast_path, sub_socket, queue) if fast_path.large else items


def _taken_in(
    data: bytes, take: Take, *, recovering: bool = False
) -> tuple[list[tuple[int, str, int]], list[object], int]:
    gaps: list[object] = []
    performer = new_performer(
        *seeds.TOPICS,
        on_gap=gaps.append,
        recover_timeout_s=1.0 if recovering else None,
        max_held=4,
    )
    performer.core.use_session(seeds.SESSION)
    asked = RecordedRequests()
    performer.use(cast(Connections, asked))
    queue = EventQueue(None, None)
    fast_path = FastPath(performer.core, queue, itertools.count().__next__)
    frames = _unframed(data)
    sub_socket = cast(SubSocket, _Frames(frames))
    items: list[Any] = []
    for _ in range(2 * len(frames) + 1):
        if fast_path.deferred is not None:
            performer.take(*fast_path.deferred, items)
            fast_path.deferred = None
        performer.reports.tell()
        items += take(fast_path, sub_socket, queue)
        if not sub_socket.events() and not fast_path.deferred:
            break
    assert not sub_socket.events()
    assert not fast_path.deferred
    events = [
        e for item in items for e in (item if isinstance(item, Batch) else [item])
    ]
    stamps = [(event.session, event.topic, event.sequence) for event in events]
    assert len(stamps) == len(set(stamps))
    assert performer.counts().received == len(events)
    for raw in asked.subscribed:
        assert parse_recovery_request(raw) is not None
    return stamps, gaps, performer.core.malformed_count


# Recovery


def _recovery_question(raw: bytes) -> object:
    question = parse_recovery_request(raw)
    if question is not None:
        assert recovery_topic(question) == raw
    return question


def _position_prefix(raw: bytes) -> object:
    topic = parse_position_prefix(raw)
    if topic is not None:
        assert position_prefix(topic) == raw
    return topic


def _position(frame: bytes) -> object:
    told = decode_position(frame)
    if told is not None:
        topic, event = told
        again = encode_position(topic, event.publisher, event.session, event.sequence)
        read = decode_position(again)
        assert read is not None
        assert (read[0], read[1].sequence) == (topic, event.sequence)
    return told


def _recovery_answer(frame: bytes) -> object:
    read = decode_recovery_reply(frame)
    if read is None:
        return None
    question, batch = read
    assert batch.session == question.publisher
    assert batch.sequence >= question.first
    stamps = [event.published_ns for event in batch.events()]
    if all(abs(stamp) < 2**62 for stamp in stamps):  # otherwise not a publisher's
        again = encode_recovery_reply(
            question, batch.publisher, batch.sequence, stamps, batch.payloads
        )
        assert decode_recovery_reply(again) is not None
    return read


def _publisher_core(data: bytes) -> object:
    """A publisher that gets subscriptions, and answers some."""
    sent: list[bytes] = []
    topics = {name: TopicState(name, History(4, 100)) for name in seeds.TOPICS}
    for state in topics.values():
        state.commit(0, [(number, b"x" * 9) for number in range(6)])
    topics[seeds.TOPICS[1]].history = None
    core = PublisherCore(topics)
    core.address, core.session = seeds.ADDRESS, seeds.SESSION
    for raw in _unframed(data):
        core.receive(raw, 1.0)
    while (due_at := core.next_deadline()) is not None and due_at <= 1.0:
        for origin in core.questions.next_origins(1.0):
            taken = sum(map(len, sent))
            core.questions.progress(origin, taken, 1.0, whole=True)
        effects = core.tick(1.0)
        sent += [each.frame for each in effects if not isinstance(each, EndConnection)]
    for frame in sent:
        read = decode_ready_reply(frame) or decode_position(frame)
        assert read or decode_recovery_reply(frame)
    return tuple(sorted({hex(frame[0]) for frame in sent}))


# Control messages


def _request(data: bytes) -> object:
    request = messages.decode_request(data)
    assert messages.decode_request(messages.encode(request)) == request
    return request


def _reply(data: bytes) -> object:
    reply = messages.decode_reply(data)
    assert messages.decode_reply(messages.encode(reply)) == reply
    return reply


def _explain(data: bytes) -> object:
    try:
        return messages.decode_request(data)
    except ProtocolError as error:
        reply = explain_undecodable(data, error)
    assert messages.decode_reply(messages.encode(reply)) == reply
    return (reply.code,)


def _trace(data: bytes) -> object:
    """A broker's debug line about a received message, and a client's result for its
    type."""
    trace = ControlTrace()
    trace.came(("10.0.0.1", 1), data)
    return unknown_reply(data)


def _performed(effects: Sequence[Effect]) -> list[str]:
    """The work of the shell with effects: it writes the messages."""
    for effect in effects:
        if isinstance(effect, Send):
            assert messages.decode_reply(messages.encode(effect.message))
    return [type(effect).__name__ for effect in effects]


def _broker(data: bytes) -> object:
    """A broker that gets line after line, from three connections."""
    model: messages.Model = "decentralized" if b'"de' in data else "centralized"
    registry = MemoryRegistry()
    core = BrokerCore(
        model,
        registry,
        epoch=99,
        lease_s=6.0,
        new_session=itertools.count(1).__next__,
        ports=lambda topics: dict.fromkeys(topics, 7000),
        max_clients=3,
    )
    done = []
    now = 0.0
    for index, line in enumerate(data.split(b"\n")):
        now += _STEP_S
        peer = b"peer%d" % (index % 3)
        effects = core.receive(peer, line, now)
        sent = [(e.peer, e.message) for e in effects if isinstance(e, Send)]
        answers = [at for at, what in sent if not isinstance(what, PublishersChanged)]
        assert answers == [peer]
        done += _performed(effects)
        done += _performed(core.tick(now))
    # Every registered client, and no other, gets `farewell`.
    assert len(core.farewell()) >= registry.count()
    done += _performed(core.farewell())
    core.status(messages.StatusRequest(id=1), now)
    return tuple(sorted(set(done)))


def _client(data: bytes) -> object:
    """A subscriber's session that gets line after line, and reports its deadlines."""
    identity = Identity("subscriber", ("A",), "10.0.0.3", "realtime", "decentralized")
    core, now = ClientSession(identity, 0.0), 0.0
    seen: list[object] = []
    for line in data.split(b"\n"):
        message, events = core.tick(now)
        if message is not None:
            assert messages.decode_request(messages.encode(message)) == message
        seen += events
        try:
            reply = messages.decode_reply(line)
        except ProtocolError as error:
            seen.append(error)
        else:
            seen += core.receive(reply, now)
        assert not core.registered or core.session is not None
        now += _STEP_S
    disconnect = core.leave({"A": 3})
    if disconnect is not None:
        assert messages.decode_request(messages.encode(disconnect)) == disconnect
    return tuple(sorted({type(thing).__name__ for thing in seen}))


def _snapshot(data: bytes) -> object:
    """A broker's file; the checksum of its content is made right, so that the content
    is tested."""
    parts = data.split(b"\n")
    if len(parts) == 2:
        data = seeds.sealed(parts[1])
    snapshot = decode_snapshot(data)
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    expected = Expected(snapshot, now=5.0, clock_ns=2**62, lease_s=6.0)
    for status in expected.status(6.0):
        assert messages.encode(status)
    expected.expire(1e9)
    return snapshot


# The receive path catches these two around `decode_body` (see `FastPath`).
_MSGSPEC: Final = (msgspec.MsgspecError, UnicodeDecodeError)
_ANY_FRAMES: Final = [*seeds.EVENT_SEEDS, *seeds.BATCH_SEEDS, *seeds.ANSWER_SEEDS]

TARGETS: Final = (
    Target("decode_event", _event, seeds.EVENT_SEEDS),
    Target("topic_end", _split, _ANY_FRAMES),
    Target("decode_body", _body, seeds.EVENT_BODY_SEEDS, _MSGSPEC),
    Target("decode_batch_body", _batch_body, seeds.BATCH_BODY_SEEDS),
    Target("counted", _counted, _ANY_FRAMES),
    Target("parse_ready_request", _question, seeds.READY_SEEDS, ()),
    Target("decode_ready_reply", _answer, _ANY_FRAMES),
    Target("receive_path", _receive_path, seeds.RECEIVE_SEEDS, ()),
    Target("parse_recovery_request", _recovery_question, seeds.QUESTION_SEEDS, ()),
    Target("parse_position_prefix", _position_prefix, seeds.PREFIX_SEEDS, ()),
    Target("decode_position", _position, seeds.POSITION_SEEDS),
    Target("decode_recovery_reply", _recovery_answer, seeds.RECOVERED_SEEDS),
    Target("publisher_core", _publisher_core, seeds.SUBSCRIPTION_SEEDS, ()),
    Target("decode_request", _request, seeds.REQUEST_SEEDS),
    Target("decode_reply", _reply, seeds.REPLY_SEEDS),
    Target("explain_undecodable", _explain, seeds.REQUEST_SEEDS, ()),
    Target("control_trace", _trace, seeds.TRACE_SEEDS, ()),
    Target("broker_core", _broker, seeds.BROKER_SEEDS, ()),
    Target("client_session", _client, seeds.CLIENT_SEEDS, ()),
    Target("decode_snapshot", _snapshot, seeds.SNAPSHOT_SEEDS, (SnapshotError,)),
)
