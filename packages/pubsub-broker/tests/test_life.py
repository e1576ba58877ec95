"""The life cycle of a broker, for any call, in any thread and state."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import zmq
from support.broker_parts import parts_of
from support.interrupted_calls import Interrupted, call_with, raise_interrupted
from support.leftovers import Leftovers
from support.threads import WAIT_MS, ended, in_thread

import pubsub_broker
import pubsub_common
from pubsub_broker import Broker
from pubsub_broker.forwarding.clear_ports import ClearPorts
from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_common.errors import CannotListen, PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Farewell, Register, Registered, Role
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

OURS: Final = (pubsub_broker, pubsub_common)
# Calls that need a configured broker.
CALLS: Final[list[Callable[[Broker], object]]] = [
    lambda broker: broker.event_loop(),
    lambda broker: broker.parse_events(0),
    lambda broker: broker.update_receive_socket(),
    lambda broker: broker.update_send_socket(),
    lambda broker: broker.send("A"),
    lambda broker: broker.notify_subscribers(["A"]),
    lambda broker: broker.disconnect_pub(messages.Disconnect(id=1, session=1)),
]
# A program that forks with a broker of its parent.
FORKS: Final = """
import gc, os, sys, threading
from pubsub_broker import Broker
from pubsub_common.client.status_client import ask
from pubsub_common.errors import PubSubError

broker = Broker(centralized=True, indefinite=True, port=0)
broker.configure()
loop = threading.Thread(target=broker.event_loop)
loop.start()
if os.fork() == 0:
    for call in (
        broker.event_loop,
        broker.configure,
        broker.__enter__,
        lambda: broker.send("A"),
    ):
        try:
            call()
        except PubSubError as error:
            assert "another process" in str(error), error
        else:
            os._exit(1)
    broker.stop()
    broker.disconnect()
    del broker
    gc.collect()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert ask("127.0.0.1", broker.port, 10.0, None).clients == []
broker.disconnect()
loop.join()
"""
# A program that ends without `disconnect`, after a line of input.
ENDS: Final = """
import sys, threading
from pubsub_broker import Broker

broker = Broker(indefinite=True, port=0)
broker.configure()
threading.Thread(target=broker.event_loop, daemon=True).start()
print(broker.port, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=[False, True], ids=["decentralized", "centralized"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    broker = Broker(request.param, True, port=0, linger_s=0.2)
    yield broker
    broker.disconnect()


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Sets the function of the next alarm's handler, in the main thread, and its delay."""
    before = signal.getsignal(signal.SIGALRM)

    def set_up(work: Callable[[], object], after_s: float = 0.01) -> None:
        signal.signal(signal.SIGALRM, lambda *_: work())
        # The alarm repeats, as an exception in a finalizer is lost; after so long that
        # every test has stopped it by then.
        signal.setitimer(signal.ITIMER_REAL, after_s, 10.0)

    yield set_up
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def serving(broker: Broker) -> threading.Thread:
    """A thread that already runs the loop of a configured broker."""
    thread = in_thread(broker.event_loop)
    wait_for(lambda: broker._runtime._thread == thread.ident)
    return thread


# Repeated calls, other threads


def test_a_broker_is_configured_once(broker: Broker) -> None:
    broker.configure()

    with pytest.raises(PubSubError, match="configured already"):
        broker.configure()
    with broker as same:
        assert same is broker
        assert "state=configured" in repr(broker)
    assert "state=closed" in repr(broker)
    for enter in (broker.configure, broker.__enter__):
        with pytest.raises(PubSubError, match="was disconnected"):
            enter()


@pytest.mark.parametrize("call", CALLS)
def test_each_call_needs_a_broker_that_is_configured(
    broker: Broker, call: Callable[[Broker], object]
) -> None:
    with pytest.raises(PubSubError, match="not connected"):
        call(broker)
    broker.configure()
    broker.disconnect()
    with pytest.raises(PubSubError, match="was disconnected"):
        call(broker)


@pytest.mark.parametrize("call", [call for call in CALLS if call is not CALLS[3]])
def test_one_thread_serves(broker: Broker, call: Callable[[Broker], object]) -> None:
    broker.configure()
    loop = serving(broker)

    with pytest.raises(PubSubError, match="another thread"):
        call(broker)

    broker.stop()
    assert ended(loop)


def test_another_thread_ends_the_loop_of_the_main_thread(broker: Broker) -> None:
    left = Leftovers()
    broker.configure()

    def end() -> None:
        wait_for(lambda: broker._runtime._thread is not None)
        broker.disconnect()

    other = in_thread(end)
    broker.event_loop()

    assert ended(other)
    left.expect_none()


def test_a_configure_that_fails_leaves_nothing_open(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Broker(port=0) as first:
        left = Leftovers()
        monkeypatch.setattr(ClearPorts, "take", lambda _self, _host: first.port)
        other = Broker(True, True, port=0 if broker.centralized else first.port)
        with pytest.raises(CannotListen):
            other.configure()
        assert not left.files()
        assert "state=closed" in repr(other)


# Signal handlers


@pytest.mark.parametrize("what", ["stop", "disconnect"])
def test_a_signal_handler_ends_the_loop(broker: Broker, what: str, alarm: Any) -> None:
    broker.configure()
    alarm(getattr(broker, what))

    broker.event_loop()

    assert (broker._runtime.parts is None) == (what == "disconnect")


# An exception in a finalizer is lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_interrupted_goes_on_when_it_is_called_again(
    broker: Broker, alarm: Any, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    broker.configure()

    def serve_until_interrupted(calls: int) -> None:
        alarm(raise_interrupted, 0.001 + 0.0005 * (calls % 7))
        broker.event_loop() if calls % 2 else poll_for_ever(broker)

    for calls in range(40):
        with pytest.raises(Interrupted):
            serve_until_interrupted(calls)
    signal.setitimer(signal.ITIMER_REAL, 0)

    loop = serving(broker)
    assert register(context, broker).epoch > 0
    broker.stop()
    assert ended(loop)


def poll_for_ever(broker: Broker) -> None:
    while True:
        broker.parse_events(0)


def register(
    context: zmq.Context[zmq.Socket[bytes]], broker: Broker, role: Role = "publisher"
) -> Registered:
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger, dealer.rcvtimeo = 0, WAIT_MS
        dealer.connect(f"tcp://127.0.0.1:{broker.port}")
        dealer.send(messages.encode(client(role, "A")))
        reply = messages.decode_reply(dealer.recv())
    assert isinstance(reply, Registered)
    return reply


def publisher(*topics: str) -> Register:
    return client("publisher", *topics)


def client(role: Role, *topics: str) -> Register:
    return Register(
        id=1,
        versions=VERSIONS,
        role=role,
        topics=list(topics),
        address="127.0.0.1:1" if role == "publisher" else "127.0.0.1",
        clock="realtime",
    )


# The interrupted calls, and the actions of the handler.
INTERRUPTED: Final[dict[str, Callable[[Broker], object]]] = {
    "configure": lambda broker: broker.configure(),
    "parse_events": lambda broker: broker.parse_events(0),
    # A loop that was stopped before ends immediately.
    "event_loop": lambda broker: serve_stopped(broker),
    "disconnect": lambda broker: broker.disconnect(),
}
IN_HANDLERS: Final[dict[str, Callable[[Broker], object]]] = {
    "raise": lambda broker: raise_interrupted(),
    "stop": lambda broker: broker.stop(),
    "disconnect": lambda broker: broker.disconnect(),
    "another": lambda broker: broker.notify_subscribers(["A"]),
}


def serve_stopped(broker: Broker) -> None:
    broker.stop()
    broker.event_loop()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Objects are closed without the garbage collector, which may run late."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("in_handler", IN_HANDLERS)
@pytest.mark.parametrize("call", INTERRUPTED)
def test_whatever_a_handler_does_at_any_line_a_broker_can_be_closed(
    call: str, in_handler: str
) -> None:
    paths = [module.__path__[0] for module in OURS]
    with Broker(True, True, port=0):
        pass  # modules and files that are loaded or opened once
    left = Leftovers()
    line, more = 1, True
    while more:
        broker = Broker(True, True, port=0, linger_s=0.2)
        if call != "configure":
            broker.configure()
            parts_of(broker).waker.wake()

        def handle(broker: Broker = broker) -> None:
            with contextlib.suppress(PubSubError):
                IN_HANDLERS[in_handler](broker)

        def make_call(broker: Broker = broker) -> None:
            with contextlib.suppress(PubSubError):  # for example: it was disconnected
                INTERRUPTED[call](broker)

        more = call_with(handle, line, make_call, *paths)
        assert ended(in_thread(broker.disconnect))
        line += 1

    assert line > 20, "it went through our code"
    left.expect_none()


# Log handlers


class Handler(logging.Handler):
    def __init__(self, work: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self.emit = work  # type: ignore[method-assign, assignment]


@pytest.fixture
def log() -> Iterator[Callable[[Callable[[logging.LogRecord], object]], None]]:
    """Has a handler called for each line of the broker's log."""
    logger = logging.getLogger("pubsub_broker")
    level = logger.level
    logger.setLevel(logging.INFO)
    handlers: list[Handler] = []

    def add(work: Callable[[logging.LogRecord], object]) -> None:
        handlers.append(Handler(work))
        logger.addHandler(handlers[-1])

    yield add
    for handler in handlers:
        logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_log_handler_may_end_the_broker_that_logs(
    broker: Broker, log: Any, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    broker.configure()
    loop = serving(broker)
    log(lambda _record: broker.disconnect())

    register(context, broker)

    assert ended(loop)
    wait_for(lambda: broker._runtime.parts is None)


def test_a_log_handler_that_ends_the_broker_while_it_begins(
    broker: Broker, log: Any
) -> None:
    log(lambda _record: broker.disconnect())

    with pytest.raises(PubSubError, match="was disconnected"):
        broker.configure()
    assert broker._runtime.parts is None


def test_a_log_handler_may_publish_to_the_broker_that_logs(
    broker: Broker, log: Any, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    broker.configure()
    loop = serving(broker)
    logged = []
    with Publisher(
        topics=["log"], broker_port=broker.port, bind_port=0, attach_timeout_s=0
    ) as logs:

        def publish(record: logging.LogRecord) -> None:
            logs.publish_event("log", record.getMessage().encode())
            logged.append(record)

        log(publish)
        register(context, broker)
        wait_for(lambda: bool(logged))
        logging.getLogger("pubsub_broker").handlers.clear()

    broker.stop()
    assert ended(loop)


def test_a_thread_of_the_broker_may_end_it(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example a log handler, in the thread that forwards."""
    apply = PlainSockets.apply

    def end(sockets: PlainSockets, changes: Any) -> None:
        ending.disconnect()
        apply(sockets, changes)

    monkeypatch.setattr(PlainSockets, "apply", end)
    ending = Broker(True, True, port=0, linger_s=0.2)
    ending.configure()
    loop = serving(ending)
    register(context, ending, "subscriber")
    register(context, ending)

    assert ended(loop)
    wait_for(lambda: ending._runtime.parts is None)


# Another process, and the end of this one


def test_a_forked_child_does_nothing_to_the_broker_of_its_parent() -> None:
    program = [sys.executable, "-W", "error", "-c", FORKS]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=WAIT_MS / 1000
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_that_ends_says_goodbye_to_clients(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        with context.socket(zmq.DEALER) as client:
            client.linger, client.rcvtimeo = 0, WAIT_MS
            client.connect(f"tcp://127.0.0.1:{int(program.stdout.readline())}")
            client.send(messages.encode(publisher("A")))
            assert isinstance(messages.decode_reply(client.recv()), Registered)
            program.stdin.write("\n")
            program.stdin.close()
            assert isinstance(messages.decode_reply(client.recv()), Farewell)
        assert program.wait(WAIT_MS / 1000) == 0


@pytest.mark.parametrize("ran", [False, True])
def test_a_broker_that_is_dropped_is_closed(ran: bool) -> None:
    with Broker(True, True, port=0):
        pass
    left = Leftovers()
    broker = Broker(True, True, port=0, linger_s=0.2)
    broker.configure()
    if ran:
        broker.stop()
        broker.event_loop()

    held = [broker]
    del broker
    with pytest.warns(ResourceWarning, match="broker was not disconnected"):
        held.clear()

    left.expect_none()


def test_a_broker_that_was_never_configured_is_dropped_without_a_word() -> None:
    broker = Broker(port=0)
    broker.stop()

    del broker
    gc.collect()
