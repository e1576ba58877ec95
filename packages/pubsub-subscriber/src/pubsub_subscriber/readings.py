"""The methods and properties that both subscriber classes share."""

from __future__ import annotations

from typing import Self

from pubsub_common.client.clock_offset import SAME_CLOCK
from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.protocol.sequence import Counts
from pubsub_common.text.name_list import name_list
from pubsub_subscriber.config import SubscriberConfig
from pubsub_subscriber.runtime import SubscriberRuntime


class SubscriberReadings:
    """Methods and properties for any thread and any time, also after the end."""

    _runtime: SubscriberRuntime

    @classmethod
    def from_config(cls, config: SubscriberConfig) -> Self:
        """A subscriber with these options.

        Raises:
            ConfigError: An option is not valid.
        """
        self = cls.__new__(cls)
        self._live(config)
        return self

    def _live(self, config: SubscriberConfig) -> None:
        self._runtime = runtime = SubscriberRuntime(config)
        runtime.life.close_when_dropped(self, runtime.close)

    def __repr__(self) -> str:
        runtime = self._runtime
        return (
            f"<{type(self).__name__} topics={name_list(runtime.topics)} "
            f"broker={runtime.broker} "
            f"state={runtime.life.state}>"
        )

    def stop(self) -> None:
        """Make iterations, `notify` and all waits end soon. Events that have arrived are still
        delivered, for at most a second. For any thread and for signal handlers."""
        self._runtime.receiver.stop()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._runtime.stopped()

    @property
    def config(self) -> SubscriberConfig:
        """The options."""
        return self._runtime.config

    @property
    def filename(self) -> str | None:
        """The file to which `notify` writes latencies."""
        return self._runtime.config.filename

    @property
    def name(self) -> str:
        """The name that the broker shows for this client; "" for none."""
        return self._runtime.name

    @property
    def broker_address(self) -> str:
        """The address or name, without port, of the broker that this subscriber is connected
        to."""
        return host_of(self._runtime.broker)

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics and wildcards, without repetitions."""
        return self._runtime.topics

    @property
    def indefinite(self) -> bool:
        """Whether no number of events ends this subscriber."""
        return self._runtime.config.indefinite

    @property
    def max_event_count(self) -> int | None:
        """The number of events after which this subscriber ends; None: not given."""
        return self._runtime.config.max_event_count

    @property
    def centralized(self) -> bool | None:
        """Whether the broker forwards events; None before `configure`, unless given."""
        return self._runtime.centralized

    @property
    def session(self) -> int:
        """The session number from the broker; -1 before `configure`."""
        return self._runtime.core.session

    def get_host_address(self) -> str:
        """This host's IP address as the broker sees it."""
        return self._runtime.host_address()

    @property
    def event_count(self) -> int:
        """Number of events that were delivered."""
        return self._runtime.receiver.event_count

    @property
    def malformed_count(self) -> int:
        """Number of messages that were not valid events."""
        return self._runtime.core.malformed_count

    @property
    def latencies(self) -> LatencyHistogram:
        """The latencies of the events that `notify` has received."""
        return self._runtime.recording.latencies

    def counts(self) -> Counts:
        """Numbers of events received, lost, duplicated and reordered so far."""
        return self._runtime.counts()

    def latency_error_ns(self) -> tuple[int, int] | None:
        """The range of the difference between the clocks of this host and of the publishers, in
        nanoseconds: the true latency is the measured one plus a number from this range.
        (0, 0) if all use one clock; None while it is unknown."""
        control = self._runtime.control
        if control is None:
            return None
        ours = control.clock_offset()
        if ours == SAME_CLOCK:
            return 0, 0
        theirs = control.publishers_clock()
        if ours is None or theirs is None:
            return None
        return (
            ours.offset_ns - ours.bound_ns - theirs.high_ns,
            ours.offset_ns + ours.bound_ns - theirs.low_ns,
        )
