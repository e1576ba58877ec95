"""The methods and properties that both publisher classes share."""

from __future__ import annotations

from typing import ClassVar, Self

from pubsub_common.protocol.endpoints import host_of
from pubsub_common.text.name_list import name_list
from pubsub_publisher.config import PublisherConfig
from pubsub_publisher.publishing.generated_events import reserved_frame
from pubsub_publisher.runtime import PublisherRuntime


class PublisherReadings:
    """Methods and properties for any thread and any time, also after the end."""

    _runtime: PublisherRuntime
    # Whether a send waits for room with ``overflow="block"``.
    _sends_wait: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: PublisherConfig) -> Self:
        """A publisher with these options.

        Raises:
            ConfigError: An option is not valid.
        """
        self = cls.__new__(cls)
        self._live(config)
        return self

    def _live(self, config: PublisherConfig) -> None:
        self._runtime = PublisherRuntime(config, waiting=self._sends_wait)
        self._runtime.life.close_when_dropped(self, self._runtime.close)

    def __repr__(self) -> str:
        runtime = self._runtime
        return (
            f"<{type(self).__name__} topics={name_list(runtime.topics.names)} "
            f"broker={runtime.broker} state={runtime.life.state}>"
        )

    def stop(self) -> None:
        """Make `publish` and all waits end soon. For any thread and for signal handlers."""
        self._runtime.stop()

    def generate_publish_event(self, iteration: int = 0) -> bytes:
        """The frame of a generated event with the present time. The caller sends it.

        The frame has the topic's next sequence number: a frame that is not sent counts as a
        lost event.

        Args:
            iteration: Chooses the topic: number ``iteration % len(topics)``.

        Raises:
            ConfigError: There is no topic, or ``iteration`` is not a whole number.
            PubSubError: This publisher was stopped while it waited for room.
        """
        return reserved_frame(self._runtime, iteration)

    def get_host_address(self) -> str:
        """This host's IP address as the broker and subscribers reach it."""
        return self._runtime.host_address()

    @property
    def config(self) -> PublisherConfig:
        """The options."""
        return self._runtime.config

    @property
    def name(self) -> str:
        """The name that the broker shows for this client; "" for none."""
        return self._runtime.name

    @property
    def broker_address(self) -> str:
        """The address or name, without port, of the broker that this publisher is connected
        to."""
        return host_of(self._runtime.broker)

    @property
    def topics(self) -> tuple[str, ...]:
        """This publisher's topics."""
        return self._runtime.topics.names

    @property
    def strengths(self) -> dict[str, int]:
        """The ownership strength of each topic that has one."""
        return self._runtime.topics.strengths

    @property
    def subscriber_count(self) -> int:
        """Number of subscribers that are ready; after `disconnect`, that were ready."""
        return len(self._runtime.core.ready.sessions)

    @property
    def unsubscribed_topics(self) -> tuple[str, ...]:
        """The topics without a subscriber so far."""
        subscribed = self._runtime.core.subscribed
        return tuple(name for name in self.topics if name not in subscribed)

    @property
    def shared_memory_events(self) -> int:
        """Number of events that went to subscribers on this host by shared memory."""
        return self._runtime.shared_memory_events()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._runtime.stopping

    @property
    def address(self) -> str:
        """The address to which subscribers connect, ``IP:port``; empty before `configure`."""
        return self._runtime.core.address

    @property
    def bind_port(self) -> int:
        """The port of the data socket; before `configure` the first port to try."""
        return self._runtime.bind_port

    @property
    def session(self) -> int:
        """The session number from the broker; -1 before `configure`."""
        return self._runtime.core.session
