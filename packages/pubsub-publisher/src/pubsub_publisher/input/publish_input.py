"""Publishes the events of a source, each to every topic."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pubsub_common.defaults import WAIT_SLICE_S
from pubsub_common.errors import PubSubError, RegistrationRefused
from pubsub_publisher.pacing.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from pubsub_publisher.publisher import Publisher


def publish_source(
    publisher: Publisher,
    source: Iterable[Sequence[bytes]],
    *,
    limit: int | None = None,
    rate: float | None = None,
) -> int:
    """Publish the events of ``source``, until it ends, ``limit`` events were published, or the
    publisher is stopped; at most ``rate`` events a second. Returns the number of events of
    the source.

    Raises:
        PubSubError: The broker refused the publisher.
    """
    limiter = None if rate is None else RateLimiter(rate)
    count = 0
    try:
        for payloads in source:
            if limit is not None:
                payloads = payloads[: limit - count]
            if limiter is None:
                _publish(publisher, payloads)
            else:
                _publish_limited(publisher, payloads, limiter)
            count += len(payloads)
            if count == limit or publisher.stopped:
                break
    except RegistrationRefused:
        raise
    except PubSubError:
        # Stopped while it waited for room: the rest is not published.
        if not publisher.stopped:
            raise
    return count


def turns(rate: float | None, stopped: Callable[[], bool]) -> Iterator[int]:
    """Numbers from 1 on, each when its event is due, until ``stopped`` returns True."""
    limiter = RateLimiter(rate) if rate is not None else None
    for number in itertools.count(1):
        if limiter is not None:
            limiter.arrived(time.monotonic_ns())
            while not limiter.take(time.monotonic_ns(), 1) and not stopped():
                _wait_until(limiter.due_ns())
        if stopped():
            return
        yield number


def _wait_until(due_ns: int) -> None:
    """Wait until ``due_ns``, but not for long: a signal does not end a sleep."""
    left_s = (due_ns - time.monotonic_ns()) / 1e9
    time.sleep(min(max(left_s, 0.0), WAIT_SLICE_S))


def _publish(publisher: Publisher, payloads: Sequence[bytes]) -> None:
    for topic in publisher.topics:
        if len(payloads) == 1:
            publisher.publish_event(topic, payloads[0])
        else:
            publisher.publish_events(payloads, topic)


def _publish_limited(
    publisher: Publisher, payloads: Sequence[bytes], limiter: RateLimiter
) -> None:
    limiter.arrived(time.monotonic_ns())
    begin = 0
    while begin < len(payloads) and not publisher.stopped:
        now_ns = time.monotonic_ns()
        if count := limiter.take(now_ns, len(payloads) - begin):
            _publish(publisher, payloads[begin : begin + count])
            begin += count
        else:
            _wait_until(limiter.due_ns())
