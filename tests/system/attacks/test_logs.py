"""Unread logs, and logs that clients try to fill."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from support.attack_rows import attack
from support.attack_tools import disconnect
from support.hostile_system import (
    BUDGET_MIB,
    MIB,
    HostileSystem,
    check_served,
)
from support.ports import free_port
from support.rings import full_size

from pubsub_common.defaults import LOG_ADDRESS_BYTES
from pubsub_common.protocol.messages import Heartbeat

# The smallest possible size, so that it is full soon.
PIPE_BYTES = 4096


@contextlib.contextmanager
def unread_pipe() -> Iterator[int]:
    """A pipe with a reader that has stopped, full except for the first lines."""
    read_fd, write_fd = os.pipe()
    fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(write_fd, b"x" * (PIPE_BYTES - 1000))
    try:
        yield write_fd
    finally:
        os.close(write_fd)
        os.close(read_fd)


def come_and_go(hostile: HostileSystem, times: int) -> None:
    """Register, lose events, and leave, repeatedly."""
    mallory = hostile.talker(sndhwm=0, rcvhwm=0)
    topics = [f"{'x' * 200}{number}" for number in range(20)]
    for _ in range(times):
        session = mallory.registered(
            hostile.registration("subscriber", *topics)
        ).session
        lost = dict.fromkeys(topics[:9], 1)
        mallory.ask(Heartbeat(id=8, session=session, lost=lost))
        mallory.ask(disconnect(session))


@attack(
    what="not reading the broker's log, while clients join and leave",
    got="only the log waits (others at most {wait}); one SIGTERM ends the broker "
    "normally",
    bound="`LOG_QUEUE_BYTES`",
)
def test_a_log_that_is_not_read(hostile: HostileSystem) -> None:
    with unread_pipe() as pipe:
        hostile.port = free_port()
        broker = hostile.broker("-v", "--lease", 300, stderr=pipe)
        heart = hostile.heart()
        broker.remember_memory()
        heart.figures()

        come_and_go(hostile, 3000 if full_size() else 100)

        hostile.figures.seconds("wait", check_served(heart))
        assert broker.grown_mib() < BUDGET_MIB
        assert broker.end() == 0


@attack(
    what="endless registering, losing events and leaving",
    got="the log grows by {log} in all, and reports the number of dropped lines",
    bound="`LOG_ADDRESS_BYTES`",
)
def test_a_log_that_is_to_be_filled(hostile: HostileSystem) -> None:
    broker = hostile.broker("--lease", 300)
    heart = hostile.heart()

    come_and_go(hostile, 3000 if full_size() else 300)

    check_served(heart)
    broker.says("more lines about clients in 10 s are left out")
    size = len(broker.err.encode())
    hostile.figures.mib("log", size / MIB)
    # The limit of two intervals, and some lines of the start.
    assert size < 3 * LOG_ADDRESS_BYTES or full_size()
    assert broker.end() == 0
