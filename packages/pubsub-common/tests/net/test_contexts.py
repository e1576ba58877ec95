"""The beginning and the end of ZeroMQ contexts."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from typing import cast

import pytest
import zmq
from support.threads import WAIT_MS

from pubsub_common.net import contexts
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.testing import WAIT_S


def test_each_context_is_its_own() -> None:
    first, second = new_context(), new_context()
    first.term()

    assert not second.closed
    second.term()


def test_ending_a_context_lets_out_what_its_sockets_have_to_send(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    receiver = context.socket(zmq.PULL)
    receiver.rcvtimeo = WAIT_MS
    port = receiver.bind_to_random_port("tcp://127.0.0.1")
    ours = new_context()
    with ours.socket(zmq.PUSH) as sender:
        sender.connect(f"tcp://127.0.0.1:{port}")
        for _ in range(500):
            sender.send(b"event")
        sender.linger = WAIT_MS

    assert terminate_context(ours, WAIT_MS / 1000)

    assert ours.closed
    assert [receiver.recv() for _ in range(500)] == [b"event"] * 500


def test_a_context_that_never_ends_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contexts, "_TERM_S", 0.0)
    released = threading.Event()

    class Stuck:
        def term(self) -> None:
            released.wait()

    assert not terminate_context(cast("zmq.Context[zmq.Socket[bytes]]", Stuck()))
    released.set()


def test_signals_do_not_cut_it_short() -> None:
    blocked: list[set[int]] = []

    class Ending:
        def term(self) -> None:
            blocked.append(
                {int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])}
            )

    assert terminate_context(cast("zmq.Context[zmq.Socket[bytes]]", Ending()))
    assert {signal.SIGALRM, signal.SIGINT, signal.SIGTERM} <= blocked[0]
    assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_one_that_is_left_behind_is_not_waited_for_by_the_garbage_collector() -> None:
    """pyzmq would end it there, and wait for its sockets."""
    context = new_context()
    address = id(context)
    kept = context.socket(zmq.XPUB)
    del context
    gc.collect()
    assert not kept.closed
    kept.close()
    assert terminate_context(contexts._contexts[address])
    assert address not in contexts._contexts


def test_one_that_is_not_terminated_does_not_keep_the_program_from_ending() -> None:
    code = "from pubsub_common.net.contexts import new_context\n"
    code += "import zmq\nsocket = new_context().socket(zmq.XPUB)"
    done = subprocess.run([sys.executable, "-c", code], timeout=WAIT_S)
    assert done.returncode == 0


def test_it_is_terminated_at_the_end_of_the_program_too() -> None:
    code = "import atexit, zmq\n"
    code += "from pubsub_common.net.contexts import new_context, terminate_context\n"
    code += "context = new_context()\n"
    code += "atexit.register(lambda: print(terminate_context(context)))"
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=WAIT_S, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
