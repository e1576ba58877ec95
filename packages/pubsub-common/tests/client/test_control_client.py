"""A client's control thread against a broker that does just what the test says."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
import zmq
from support.leftovers import Leftovers
from support.ports import free_port, unused_port
from support.threads import ended, in_thread

from pubsub_common.client import (
    control_client,
    control_loop,
    goodbye,
    registration,
    session,
)
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.control_client import ControlClient
from pubsub_common.client.identity import Identity
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    Postponed,
    PublishersUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import (
    BrokerUnreachable,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
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
)
from pubsub_common.testing import wait_for

WAIT_S = 60.0
LONG_LEASE_S = 600.0
SHORT_LEASE_S = 0.06
MANY_HEARTBEATS = 20_000  # per lease: one every 30 ms, and the lease never ends
IDENTITY = Identity("subscriber", ("A",), "127.0.0.1", "realtime", "decentralized")
SESSION = 1234

_R = TypeVar("_R", bound=Request)


class FakeBroker:
    """A ROUTER that the test's thread reads and writes message by message."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], port: int = 0) -> None:
        self.router = context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.rcvtimeo = round(WAIT_S * 1000)
        self.router.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.endpoint = self.router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.places = BrokerPlaces.of(self.endpoint.removeprefix("tcp://"))
        self.peer = b""
        self.epoch = 99

    def receive(self, kind: type[_R]) -> _R:
        """The next request of this kind; other ones are skipped."""
        while True:
            self.peer, data = self.router.recv_multipart()
            request = messages.decode_request(data)
            if isinstance(request, kind):
                return request

    def send(self, reply: Reply | bytes) -> None:
        data = reply if isinstance(reply, bytes) else messages.encode(reply)
        self.router.send_multipart([self.peer, data])

    def register(self, lease_s: float = LONG_LEASE_S) -> Register:
        """Wait for a registration and accept it."""
        request = self.receive(Register)
        self.accept(request, lease_s)
        return request

    def accept(self, request: Register, lease_s: float = LONG_LEASE_S) -> None:
        self.send(
            Registered(
                id=request.id,
                version=1,
                session=SESSION,
                epoch=self.epoch,
                lease_s=lease_s,
                model="decentralized",
            )
        )


class Recorder:
    """What the control thread reports, for the test's thread to wait for."""

    def __init__(self) -> None:
        self.updates: list[SessionUpdate] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, update: SessionUpdate) -> None:
        with self._changed:
            self.updates.append(update)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait_for(
        self, kind: type[SessionUpdate], count: int = 1
    ) -> list[SessionUpdate]:
        def found() -> list[SessionUpdate]:
            return [update for update in self.updates if isinstance(update, kind)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, WAIT_S)
            return found()


@pytest.fixture
def broker(context: zmq.Context[zmq.Socket[bytes]]) -> FakeBroker:
    return FakeBroker(context)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


Connect = Callable[..., ControlClient]


@pytest.fixture
def connect(
    context: zmq.Context[zmq.Socket[bytes]],
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Connect]:
    """Makes clients that are closed at the end; these brokers send no farewell."""
    monkeypatch.setattr(goodbye, "DISCONNECT_REPLY_S", 0.01)
    monkeypatch.setattr(session, "REGISTER_RETRY_S", 0.01)
    clients: list[ControlClient] = []

    def make(
        endpoint: str,
        *,
        on_wake: Callable[[], float | None] = lambda: None,
        input_fd: int | None = None,
        start: bool = True,
        on_update: Callable[[SessionUpdate], None] = recorder,
    ) -> ControlClient:
        client = ControlClient(
            context,
            BrokerPlaces.of(endpoint.removeprefix("tcp://")),
            IDENTITY,
            on_update,
            on_wake=on_wake,
            input_fd=input_fd,
        )
        clients.append(client)
        if start:
            client.start()
        return client

    yield make
    for client in clients:
        client.close({})


# Registering


def test_a_client_registers_and_gets_the_answer(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    client = connect(broker.endpoint)

    request = broker.register()
    reply = client.wait_registered(WAIT_S)

    assert (request.role, request.topics, request.session) == (
        "subscriber",
        ["A"],
        None,
    )
    assert reply.session == SESSION
    assert client.error is None
    assert recorder.wait_for(Accepted) == [Accepted(reply, again=False)]


def test_events_are_told_in_the_control_thread(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    connect(broker.endpoint)
    broker.register()

    recorder.wait_for(Accepted)

    assert recorder.threads == {"pubsub-control"}


def test_a_client_that_is_there_before_the_broker_registers_when_it_comes(
    context: zmq.Context[zmq.Socket[bytes]],
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "REGISTER_ANSWER_S", 10 * WAIT_S)
    port = free_port()
    client = connect(f"tcp://127.0.0.1:{port}")
    with pytest.raises(BrokerUnreachable):
        client.wait_registered(0.001)

    FakeBroker(context, port).register()

    assert client.wait_registered(WAIT_S).session == SESSION


def test_requests_to_an_absent_broker_do_not_pile_up(
    context: zmq.Context[zmq.Socket[bytes]], connect: Connect
) -> None:
    port = free_port()
    turns = threading.Semaphore(0)
    connect(f"tcp://127.0.0.1:{port}", on_wake=turns.release)
    for _ in range(20):  # each turn of the thread tries to register
        assert turns.acquire(timeout=WAIT_S)

    broker = FakeBroker(context, port)
    broker.register()
    broker.router.rcvtimeo = 0

    with pytest.raises(zmq.Again):
        broker.receive(Register)


def test_a_client_that_is_told_to_come_later_asks_again(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(session, "REGISTER_LATER_S", 0.01)
    client = connect(broker.endpoint)
    codes = (messages.TOO_FAST, messages.SESSION_IN_USE) * 2
    for code in codes:
        request = broker.receive(Register)
        broker.send(Error(id=request.id, code=code, detail=f"later: {code}"))
    recorder.wait_for(Postponed, len(codes))

    # A caller that cannot wait longer gets the reason.
    with pytest.raises(RegistrationRefused, match="later") as refusal:
        client.wait_registered(0.0)
    assert refusal.value.code == codes[-1]
    assert client.error is None

    broker.register()
    assert client.wait_registered(WAIT_S).session == SESSION
    assert [line for line in caplog.messages if "later" in line] == [
        f"the broker at {broker.endpoint}: later: {code}; trying again"
        for code in codes[:2]
    ]


def test_a_refusal_is_raised_and_kept(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    client = connect(broker.endpoint)
    request = broker.receive(Register)
    broker.send(
        Error(id=request.id, code=messages.WRONG_MODEL, detail="this one is other")
    )

    with pytest.raises(RegistrationRefused, match="this one is other") as refusal:
        client.wait_registered(WAIT_S)

    assert refusal.value.code == messages.WRONG_MODEL
    assert repr(client.error) == repr(refusal.value)


def test_an_unreachable_broker_is_named(connect: Connect) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    client = connect(endpoint)

    with pytest.raises(BrokerUnreachable, match=r"within 0\.01 s") as failure:
        client.wait_registered(0.01)

    assert failure.value.endpoint == endpoint


def test_a_wait_for_the_broker_ends_when_the_client_is_stopped(
    connect: Connect,
) -> None:
    stopped = threading.Event()
    client = connect(f"tcp://127.0.0.1:{free_port()}", on_wake=stopped.set)

    with pytest.raises(NotReady, match="stopped before a broker answered"):
        client.wait_registered(WAIT_S, stopped=stopped.is_set)


def test_an_answer_counts_even_if_the_client_was_stopped_meanwhile(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    assert client.wait_registered(WAIT_S, stopped=lambda: True).session == SESSION


def test_the_reason_of_a_refusal_is_there_when_the_role_is_notified(
    broker: FakeBroker, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    reasons: list[object] = []
    told = threading.Event()

    def on_event(_: SessionUpdate) -> None:
        reasons.append(client.error)
        told.set()

    client = ControlClient(context, broker.places, IDENTITY, on_event)
    client.start()
    request = broker.receive(Register)
    broker.send(Error(id=request.id, code=messages.BAD_TOPIC, detail="no"))

    assert told.wait(WAIT_S)
    client.close({})
    assert isinstance(reasons[0], RegistrationRefused)


@pytest.mark.parametrize("lease_s", [1e9, 1e300])
def test_a_lease_of_any_length_is_waited_for(
    broker: FakeBroker, connect: Connect, recorder: Recorder, lease_s: float
) -> None:
    connect(broker.endpoint)
    broker.register(lease_s)
    broker.send(PublishersChanged(revision=1))

    recorder.wait_for(PublishersUpdated)


def test_waiting_for_the_broker_is_mentioned_once(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(registration, "_MENTION_AFTER_S", 0.001)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    client = connect(endpoint)

    with pytest.raises(BrokerUnreachable):
        client.wait_registered(0.02)

    assert [record.getMessage() for record in caplog.records] == [
        f"no broker at {endpoint} yet; trying for 0.02 s"
    ]


def test_a_refused_connection_is_mentioned_at_once(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(registration, "_MENTION_AFTER_S", 10 * WAIT_S)
    with unused_port() as port:
        client = connect(f"tcp://127.0.0.1:{port}")
        with pytest.raises(NotReady):
            client.wait_registered(20 * WAIT_S, stopped=lambda: bool(caplog.records))

    (line,) = (record.getMessage() for record in caplog.records)
    assert line == (
        f"no broker at tcp://127.0.0.1:{port} yet (connection refused); "
        f"trying for {20 * WAIT_S:g} s"
    )


@pytest.mark.parametrize(
    ("sends", "reason"),
    [
        (b"", "the program there accepts connections and sends nothing"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the program there does not speak ZeroMQ"),
    ],
)
def test_what_is_not_a_broker_is_told_from_silence(
    connect: Connect, sends: bytes, reason: str
) -> None:
    with (
        contextlib.ExitStack() as accepted,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = accepted.enter_context(listening.accept()[0])
                    connection.sendall(sends)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        client = connect(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(BrokerUnreachable, match=reason):
            client.wait_registered(0.2)
        listening.shutdown(socket.SHUT_RDWR)
        serving.join(WAIT_S)


def test_a_client_that_leaves_while_the_broker_registers_it_disconnects(
    broker: FakeBroker, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else others would be told of it, and the broker would keep it for a lease."""
    client = connect(broker.endpoint)
    monkeypatch.setattr(goodbye, "DISCONNECT_REPLY_S", WAIT_S)
    begun = threading.Event()

    def say_goodbye(*arguments: Any) -> None:
        begun.set()
        goodbye.say_goodbye(*arguments)

    monkeypatch.setattr(control_loop, "say_goodbye", say_goodbye)
    request = broker.receive(Register)

    leaving = threading.Thread(target=client.close, args=({},))
    leaving.start()
    assert begun.wait(WAIT_S)
    broker.accept(request)

    leaving_request = broker.receive(Disconnect)
    assert leaving_request.session == SESSION
    broker.send(Disconnected(id=leaving_request.id))
    leaving.join(WAIT_S)
    assert not leaving.is_alive()


# Staying registered


def test_the_lease_is_renewed_without_the_users_thread(
    broker: FakeBroker, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HEARTBEATS_PER_LEASE", MANY_HEARTBEATS)
    connect(broker.endpoint)
    broker.register()

    for _ in range(3):
        beat = broker.receive(Heartbeat)
        assert beat.session == SESSION
        broker.send(Alive(id=beat.id, epoch=broker.epoch, known=True))


def test_a_forgotten_client_registers_again_under_its_session(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "HEARTBEATS_PER_LEASE", MANY_HEARTBEATS)
    connect(broker.endpoint)
    broker.register()
    beat = broker.receive(Heartbeat)
    broker.send(Alive(id=beat.id, epoch=broker.epoch, known=False))

    assert broker.register().session == SESSION

    first, second = recorder.wait_for(Accepted, 2)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.again, second.again) == (False, True)


def test_a_client_whose_heartbeats_are_refused_registers_again_once_and_then_is_told(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = connect(broker.endpoint)
    for _ in range(2):
        broker.register(lease_s=3.0)  # no answer takes so long, on the busiest machine
        beat = broker.receive(Heartbeat)
        broker.send(Error(id=beat.id, code=messages.MALFORMED, detail="too large"))
    recorder.wait_for(Rejected)

    assert "rejected a heartbeat: too large; registering again" in caplog.text
    error = client.error
    assert isinstance(error, RegistrationRefused)
    assert str(error) == "the broker ended the registration: too large"


def test_a_client_finds_a_broker_that_was_started_again_on_its_port(
    context: zmq.Context[zmq.Socket[bytes]],
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
) -> None:
    connect(broker.endpoint)
    broker.register(SHORT_LEASE_S)
    recorder.wait_for(Accepted)
    port = int(broker.endpoint.rpartition(":")[2])
    broker.router.close(linger=0)

    recorder.wait_for(BrokerLost)
    again = FakeBroker(context, port)

    assert again.register().session == SESSION


def test_a_silent_broker_is_lost_and_asked_again(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(broker.endpoint)
    broker.register(SHORT_LEASE_S)

    assert recorder.wait_for(BrokerLost) == [BrokerLost(farewell=False)]
    assert broker.receive(Register).session == SESSION
    assert "does not answer" in caplog.text


def test_a_farewell_is_reported_and_the_broker_asked_again(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(broker.endpoint)
    broker.register()
    broker.send(Farewell())

    assert recorder.wait_for(BrokerLost) == [BrokerLost(farewell=True)]
    assert broker.receive(Register).session == SESSION
    assert "is shutting down" in caplog.text


def test_a_push_reaches_the_role(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    publisher = PublisherInfo(session=5, topics=["A"], address="127.0.0.1:5556")
    connect(broker.endpoint)
    broker.register()
    broker.send(PublishersChanged(revision=1, joined=[publisher]))

    assert recorder.wait_for(PublishersUpdated) == [PublishersUpdated([publisher], [])]


@pytest.mark.parametrize(
    "nonsense", [b"", b"\xff\0", b"{}", b"[" * 100_000, b'{"type":"disconnected"}']
)
def test_invalid_messages_of_the_broker_are_ignored(
    broker: FakeBroker,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    nonsense: bytes,
) -> None:
    client = connect(broker.endpoint)
    request = broker.receive(Register)
    for _ in range(3):
        broker.send(nonsense)
    broker.send(
        Registered(
            id=request.id,
            version=1,
            session=SESSION,
            epoch=1,
            lease_s=LONG_LEASE_S,
            model="decentralized",
        )
    )

    assert client.wait_registered(WAIT_S).session == SESSION
    assert caplog.text.count("an invalid control message") == 1


def test_a_message_of_an_unknown_type_is_ignored_without_a_word(
    broker: FakeBroker,
    connect: Connect,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = connect(broker.endpoint)
    request = broker.receive(Register)
    broker.send(b'{"type":"weather","rain":true}')
    broker.accept(request)
    broker.send(b'{"type":"weather","revision":1}')
    broker.send(PublishersChanged(revision=1))

    assert client.wait_registered(WAIT_S).session == SESSION
    assert recorder.wait_for(PublishersUpdated)
    assert not caplog.records


# Work beside the user's thread


def test_a_wake_has_on_wake_called(connect: Connect, broker: FakeBroker) -> None:
    called = threading.Semaphore(0)
    client = connect(broker.endpoint, on_wake=called.release)
    broker.register()
    client.wait_registered(WAIT_S)
    while called.acquire(blocking=False):
        pass

    client.wake()

    assert called.acquire(timeout=WAIT_S)


def test_the_service_is_called_again_when_it_wants_to_be(
    connect: Connect, broker: FakeBroker
) -> None:
    called = threading.Semaphore(0)

    def service() -> float:
        called.release()
        return 0.001

    connect(broker.endpoint, on_wake=service)
    broker.register()

    for _ in range(20):
        assert called.acquire(timeout=WAIT_S)


def test_a_watched_descriptor_has_the_service_called(
    connect: Connect, broker: FakeBroker
) -> None:
    read_fd, write_fd = os.pipe()
    drained = threading.Event()

    def service() -> None:
        if os.get_blocking(read_fd):
            os.set_blocking(read_fd, False)
        try:
            os.read(read_fd, 10)
        except BlockingIOError:
            return
        drained.set()

    client = connect(broker.endpoint, on_wake=service, input_fd=read_fd)
    try:
        broker.register()
        client.wait_registered(WAIT_S)
        os.write(write_fd, b"news")
        assert drained.wait(WAIT_S)
    finally:
        client.close({})
        os.close(read_fd)
        os.close(write_fd)


# Changing what the client is


def identity_with(topic: str) -> Identity:
    return dataclasses.replace(IDENTITY, topics=("A", topic))


def test_a_change_is_told_under_the_same_session(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    thread = in_thread(lambda: client.change(identity_with("B"), WAIT_S))

    request = broker.register()

    assert (request.topics, request.session) == (["A", "B"], SESSION)
    assert ended(thread)


def test_changes_while_the_broker_is_asked_are_told_after_its_answer(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    first = client.submit(identity_with("B"))
    request = broker.receive(Register)
    second = client.submit(identity_with("C"))
    third = client.submit(identity_with("D"))

    broker.accept(request)
    client.wait_told(first, WAIT_S)
    with pytest.raises(BrokerUnreachable):
        client.wait_told(second, 0)

    assert broker.register().topics == ["A", "D"]
    client.wait_told(third, WAIT_S)
    client.wait_told(second, 0)


def test_many_threads_change_it_and_all_return_when_the_broker_knows(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    lock = threading.Lock()
    topics: list[str] = []
    known: list[str] = []
    missing: list[str] = []

    def add(topic: str) -> None:
        with lock:
            topics.append(topic)
            number = client.submit(dataclasses.replace(IDENTITY, topics=tuple(topics)))
        client.wait_told(number, WAIT_S)
        if topic not in known:
            missing.append(topic)

    threads = [in_thread(partial(add, f"T{number}")) for number in range(8)]
    while len(known) < 8:
        request = broker.receive(Register)
        known = list(request.topics)
        broker.accept(request)

    assert all(ended(thread) for thread in threads)
    assert missing == []


def test_a_change_that_is_refused_finishes_the_client(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    number = client.submit(identity_with("B"))
    request = broker.receive(Register)
    broker.send(Error(id=request.id, code=messages.BAD_TOPIC, detail="no"))

    with pytest.raises(RegistrationRefused, match="no"):
        client.wait_told(number, WAIT_S)


def test_a_callback_cannot_wait_until_it_is_told(
    broker: FakeBroker, connect: Connect
) -> None:
    errors: list[PubSubError] = []

    def change(_: SessionUpdate) -> None:
        if not errors:
            try:
                client.change(identity_with("B"), WAIT_S)
            except PubSubError as error:
                errors.append(error)

    client = connect(broker.endpoint, on_update=change)
    broker.register()

    assert broker.register().topics == ["A", "B"]  # told all the same
    assert "a callback cannot wait" in str(errors[0])


def test_closing_ends_the_waits_of_others(connect: Connect) -> None:
    client = connect(f"tcp://127.0.0.1:{free_port()}")
    errors: list[BaseException] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            call()
        except NotReady as error:
            errors.append(error)

    threads = [
        in_thread(partial(wait, lambda: client.change(identity_with("B"), WAIT_S))),
        in_thread(partial(wait, lambda: client.wait_registered(WAIT_S))),
    ]
    client.close({})

    assert all(ended(thread) for thread in threads)
    assert len(errors) == 2


# Leaving


def test_leaving_tells_the_broker_how_far_each_topic_went(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    client.close({"A": 10})

    request = broker.receive(Disconnect)
    assert (request.session, request.next_sequences) == (SESSION, {"A": 10})


def test_leaving_ends_with_the_brokers_answer(
    broker: FakeBroker, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goodbye, "DISCONNECT_REPLY_S", 10 * WAIT_S)
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    closer = threading.Thread(target=client.close, args=({},))
    closer.start()

    request = broker.receive(Disconnect)
    broker.send(b"nonsense")
    broker.send(Alive(id=request.id, epoch=broker.epoch, known=True))
    broker.send(Disconnected(id=request.id + 1))
    broker.send(Disconnected(id=request.id))

    closer.join(WAIT_S)
    assert not closer.is_alive()


def test_a_broker_that_does_not_answer_cannot_keep_a_client_from_leaving(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    client.close({})

    assert broker.receive(Disconnect).session == SESSION


def test_a_client_without_a_broker_can_be_closed(connect: Connect) -> None:
    connect(f"tcp://127.0.0.1:{free_port()}").close({})


def test_a_client_that_was_not_started_can_be_closed(connect: Connect) -> None:
    connect(f"tcp://127.0.0.1:{free_port()}", start=False).close({})


def test_closing_twice_disconnects_once(broker: FakeBroker, connect: Connect) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    client.close({"A": 1})
    client.close({"A": 2})

    assert broker.receive(Disconnect).next_sequences == {"A": 1}
    broker.router.rcvtimeo = 0
    with pytest.raises(zmq.Again):
        broker.receive(Disconnect)


def test_a_wake_after_closing_does_nothing(connect: Connect) -> None:
    client = connect(f"tcp://127.0.0.1:{free_port()}")
    client.close({})

    client.wake()


def test_no_descriptors_stay(
    broker: FakeBroker, context: zmq.Context[zmq.Socket[bytes]], recorder: Recorder
) -> None:
    context.socket(zmq.DEALER).close()  # libzmq's own threads are there
    left = Leftovers()
    for start in (True, False):
        client = ControlClient(context, broker.places, IDENTITY, recorder)
        if start:
            client.start()
            broker.register()
            client.wait_registered(WAIT_S)
        assert client.close({})
        assert client.close({})
        client.start()  # too late
    # libzmq closes a connection's in its own thread.
    wait_for(lambda: len(left.files()) <= 1)  # the broker's side of it


def test_threads_that_close_it_together_all_return(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    threads = [in_thread(lambda: client.close({"A": 1})) for _ in range(4)]

    assert all(ended(thread) for thread in threads)
    assert broker.receive(Disconnect).next_sequences == {"A": 1}


def test_a_callback_may_close_it(broker: FakeBroker, connect: Connect) -> None:
    closed: list[tuple[bool, bool]] = []

    def close(update: SessionUpdate) -> None:
        closed.append((client.own_thread, client.close({"A": 5})))

    client = connect(broker.endpoint, on_update=close)
    broker.register()

    assert broker.receive(Disconnect).next_sequences == {"A": 5}
    assert client.close({})
    assert closed == [(True, False)]
    assert not client.own_thread


def test_a_callback_that_does_not_return_is_left_behind(
    broker: FakeBroker,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(control_client, "_CLOSE_S", 0.01)
    begun, release = threading.Event(), threading.Event()

    def wait(_: SessionUpdate) -> None:
        begun.set()
        release.wait(WAIT_S)

    client = connect(broker.endpoint, on_update=wait)
    broker.register()
    assert begun.wait(WAIT_S)

    assert not client.close({})

    assert "does not return" in caplog.text
    release.set()
    monkeypatch.setattr(control_client, "_CLOSE_S", WAIT_S)
    assert client.close({})


def test_a_callback_that_raises_finishes_it_with_one_error(
    broker: FakeBroker, connect: Connect
) -> None:
    mistake = ValueError("a mistake of the user")
    updates: list[SessionUpdate] = []

    def fail(update: SessionUpdate) -> None:
        updates.append(update)
        raise mistake  # also at the notification of the end

    client = connect(broker.endpoint, on_update=fail)
    broker.register()

    with pytest.raises(PubSubError, match="a mistake of the user") as failure:
        client.wait_registered(WAIT_S)

    assert repr(client.error) == repr(failure.value)
    assert failure.value.__cause__ is mistake
    assert client.close({"A": 3})
    assert [type(update) for update in updates] == [Accepted, Rejected]
    # The others need not wait for the end of its lease.
    assert broker.receive(Disconnect).next_sequences == {"A": 3}


def test_an_error_that_is_raised_keeps_nobody_alive(
    broker: FakeBroker, connect: Connect
) -> None:
    def fail(_: SessionUpdate) -> None:
        raise ValueError

    class Role:
        def use(self) -> None:
            client.wait_registered(WAIT_S)

    client = connect(broker.endpoint, on_update=fail)
    broker.register()
    role: Role | None = Role()
    gone = weakref.ref(role)
    assert role is not None
    for _ in range(2):
        with contextlib.suppress(PubSubError):
            role.use()
    role = None
    gc.collect()

    assert gone() is None
    assert client.error is not None
    assert client.error.__traceback__ is None


def test_a_wake_up_call_that_raises_or_exits_finishes_it_too(
    broker: FakeBroker, connect: Connect, recorder: Recorder
) -> None:
    def leave() -> None:
        raise SystemExit(1)

    client = connect(broker.endpoint, on_wake=leave)

    recorder.wait_for(Rejected)
    assert client.close({})


def test_a_forked_child_does_not_wake_or_disturb_its_parents_client(
    broker: FakeBroker, connect: Connect
) -> None:
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)
    child = os.fork()
    if child == 0:
        client.wake()
        client._waker.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

    client.close({"A": 1})

    assert broker.receive(Disconnect).next_sequences == {"A": 1}


def test_closing_ends_the_thread(broker: FakeBroker, connect: Connect) -> None:
    left = Leftovers()
    client = connect(broker.endpoint)
    broker.register()
    client.wait_registered(WAIT_S)

    client.close({})

    assert "pubsub-control" not in left.threads()
