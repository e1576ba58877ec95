"""Generated events: their times and payloads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pubsub_common import validation
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.events import encode_event
from pubsub_publisher.pacing.precise_sleep import monotonic_ahead_ns, sleep_until
from pubsub_publisher.pacing.schedule import periodic, poisson
from pubsub_publisher.publishing.slow_path import generated, send_in_turn, sender_of
from pubsub_publisher.sending.frame_sender import STOPPED

if TYPE_CHECKING:
    from pubsub_publisher.config import Arrivals, PublisherConfig
    from pubsub_publisher.runtime import PublisherRuntime


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """``period_s`` seconds from one event to the next, or on average where ``arrivals`` are
    random; up to ``limit`` events (None: no limit)."""

    period_s: float
    limit: int | None
    arrivals: Arrivals
    seed: int | None

    @classmethod
    def of(cls, config: PublisherConfig) -> Pace:
        """The pace from the options of a publisher."""
        limit = None if config.indefinite else config.max_event_count
        return cls(config.sleep_period, limit, config.arrivals, config.arrivals_seed)

    def due_times(self, start_ns: int) -> Iterator[int]:
        """When each event is due, in nanoseconds of the clock of ``start_ns``.

        Raises:
            ConfigError: ``start_ns`` is not a whole number, or a value of this pace, which a
                user may have changed, is not valid.
        """
        validation.seconds("sleep_period", self.period_s)
        if self.limit is not None:
            validation.at_least("max_event_count", self.limit)
        validation.whole_number("start_ns", start_ns)
        period_ns = round(self.period_s * 1e9)
        if self.arrivals == "poisson":
            return poisson(start_ns, period_ns, self.seed)
        return periodic(start_ns, period_ns)


def publish_generated(
    runtime: PublisherRuntime, pace: Pace, start_ns: int | None
) -> int:
    """As `Publisher.publish`."""
    runtime.check_usable()
    due_times = pace.due_times(runtime.now_ns() if start_ns is None else start_ns)
    # Waits use the monotonic clock: a clock that is set back would stop the publisher.
    ahead_ns = monotonic_ahead_ns(runtime.now_ns)
    count = 0
    while count != pace.limit and not runtime.ended():
        due_ns = next(due_times)
        if not sleep_until(due_ns + ahead_ns, runtime.ended) or runtime.stopping:
            break
        if not publish_one(runtime, count, due_ns):
            break
        count += 1
    return count


def publish_one(runtime: PublisherRuntime, count: int, due_ns: int) -> bool:
    """Publish a generated event, and call ``on_sent``. False if this was stopped or closed
    first."""
    topic, payload = generated(runtime, count)
    send = runtime.senders.get(topic.name)
    if send is None:
        if runtime.life.state != "configured":
            return False
        send = sender_of(runtime, topic.name)
    stamp_ns = send(payload)
    if stamp_ns <= 0:
        try:
            send_in_turn(runtime, topic.name, stamp_ns, payload)
        except PubSubError:
            if runtime.stopping:
                return False
            raise
    if runtime.config.on_sent is not None:
        number = runtime.events.last_number(topic)
        runtime.config.on_sent(topic.name, number, due_ns, abs(stamp_ns))
    return True


def reserved_frame(runtime: PublisherRuntime, iteration: int) -> bytes:
    """As `Publisher.generate_publish_event`."""
    validation.whole_number("iteration", iteration)
    topic, payload = generated(runtime, iteration)
    stamp_ns = runtime.now_ns()
    if runtime.life.state == "configured":
        number = runtime.events.reserve_number(topic, stamp_ns, payload)
        if number < 0:
            raise PubSubError(STOPPED)
    else:
        number = topic.next_sequence
        topic.commit(number, [(stamp_ns, payload)])
    start = runtime.core.address, runtime.core.session, number
    return encode_event(topic.name, *start, stamp_ns, payload)
