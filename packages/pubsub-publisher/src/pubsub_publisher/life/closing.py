"""Closes a publisher."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import zmq

from pubsub_common.net.contexts import terminate_context
from pubsub_common.net.sockets import wait_until_sent
from pubsub_common.text.counted import counted

if TYPE_CHECKING:
    from pubsub_common.client.control_client import ControlClient
    from pubsub_publisher.sending.event_socket import EventSocket

_log = logging.getLogger(__name__)


def close_down(
    context: zmq.Context[zmq.Socket[bytes]],
    events: EventSocket,
    control: ControlClient | None,
    next_numbers: Callable[[], Mapping[str, int]],
    linger_s: float,
) -> None:
    """Send the accepted events, send the broker the number after the last event of each topic
    (``next_numbers``), answer requests for missed events, and close all sockets, within
    ``linger_s`` seconds if subscribers read."""
    until = time.monotonic() + linger_s
    events.flush_all(linger_s)
    if control is not None:
        control.close(next_numbers())
        if events.registered:
            events.serve_last_requests(until - time.monotonic())
    # Events that a thread gathered before it noticed the end.
    unsent = events.flush_all(0.0)
    if unsent:
        _log.warning(
            "%s not sent within %g s (linger_s): a subscriber is not reading",
            counted(unsent, "event"),
            linger_s,
        )
    slowest = None
    if events.port:
        slowest = wait_until_sent(events.port, until - time.monotonic())
    if events.port_guard is not None:
        events.port_guard.close()
    events.close(max(0.0, until - time.monotonic()))
    if events.lane is not None:
        events.lane.close()
    terminate_context(context, until - time.monotonic())
    # libzmq ends later than that only if it drops events, and does not tell how many.
    if slowest is not None and linger_s and time.monotonic() >= until:
        _log.warning(
            "%s has not read all within %g s (linger_s): %d bytes are on their way, the "
            "events queued behind them are dropped",
            slowest[0],
            linger_s,
            slowest[1],
        )
