"""What a publisher tells of itself, in both shells, and how it is made and stopped."""

from __future__ import annotations

from typing import ClassVar, Self

from pubsub_common.name_list import name_list
from pubsub_common.protocol.endpoints import host_of
from pubsub_publisher.config import PublisherConfig
from pubsub_publisher.generated_events import reserved_frame
from pubsub_publisher.runtime import PublisherRuntime


class PublisherReadings:
    """Whatever may be asked at any time, also after the end. For any thread."""

    _runtime: PublisherRuntime
    # Whether a send waits for room under the policy "block".
    _sends_wait: ClassVar[bool] = True

    @classmethod
    def from_config(cls, config: PublisherConfig) -> Self:
        """A publisher with these options.

        Raises:
            ConfigError: an option cannot work.
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
        """End `publish` and waits soon. For any thread and for signal handlers."""
        self._runtime.stop()

    def generate_publish_event(self, iteration: int = 0) -> bytes:
        """The frame of a generated event, stamped now. ``iteration`` chooses the
        topic: number ``iteration % len(topics)``.

        It takes the topic's next sequence number, so a frame that is not sent is a
        loss to subscribers.

        Raises:
            PubSubError: this publisher was stopped while it waited for room for the
                events before it.
        """
        return reserved_frame(self._runtime, iteration)

    def get_host_address(self) -> str:
        """This host's IP address as the broker and subscribers reach it."""
        return self._runtime.host_address()

    @property
    def config(self) -> PublisherConfig:
        """Its options."""
        return self._runtime.config

    @property
    def name(self) -> str:
        """The name that the broker shows for this client; "" for none."""
        return self._runtime.name

    @property
    def broker_address(self) -> str:
        """The broker's address or name, without port: of several the one that this is
        connected to."""
        return host_of(self._runtime.broker)

    @property
    def topics(self) -> tuple[str, ...]:
        """This publisher's topics."""
        return self._runtime.topics.names

    @property
    def strengths(self) -> dict[str, int]:
        """The ownership strengths of those topics that have one."""
        return self._runtime.topics.strengths

    @property
    def subscriber_count(self) -> int:
        """How many subscribers are ready at present; after `disconnect`, how many were."""
        return len(self._runtime.core.ready.sessions)

    @property
    def unsubscribed_topics(self) -> tuple[str, ...]:
        """This publisher's topics that nobody has subscribed to so far, ready or not."""
        subscribed = self._runtime.core.subscribed
        return tuple(name for name in self.topics if name not in subscribed)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._runtime.stopping

    @property
    def address(self) -> str:
        """``IP:port`` where subscribers connect; empty before `configure`."""
        return self._runtime.core.address

    @property
    def bind_port(self) -> int:
        """The port of `address`; before `configure` the first one to try."""
        return self._runtime.bind_port

    @property
    def session(self) -> int:
        """The session that the broker has given us; -1 before."""
        return self._runtime.core.session
