"""Adds and removes topics of a connected publisher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.topics import validate_topic
from pubsub_common.uninterrupted import run_uninterrupted

if TYPE_CHECKING:
    from pubsub_publisher.runtime import PublisherRuntime
    from pubsub_publisher.topics.topic_state import TopicState


def add_topics(
    runtime: PublisherRuntime,
    topics: Iterable[str],
    strengths: Mapping[str, int] | int | None,
) -> None:
    """As `Publisher.add_topics`."""
    _change(runtime, lambda: runtime.topics.add(topics, strengths), wait_attached=True)


def declare_topic(runtime: PublisherRuntime, topic: str) -> TopicState:
    """Add the topic of an event, or wait until another thread has added it; does nothing if
    it takes events already.

    Raises:
        ConfigError: The topic is not valid, or ``declared_only`` is set.
        PubSubError: As `Publisher.add_topics`.
    """
    if not isinstance(topic, str):
        validate_topic(topic)  # raises
    if topic not in runtime.topics.opened:
        if runtime.config.declared_only and topic not in runtime.topics.names:
            runtime.topics.raise_unknown(topic)
        given = runtime.config.strengths
        strength = given if isinstance(given, int) else None  # one for all topics
        add_topics(runtime, [topic], strength)
    return runtime.topics.states[topic]


def remove_topics(runtime: PublisherRuntime, topics: Iterable[str]) -> None:
    """As `Publisher.remove_topics`."""

    def remove() -> None:
        names = runtime.topics.excluding(topics)
        if not names and runtime.config.declared_only:
            raise ConfigError("at least one topic is needed with declared_only")
        for name in set(runtime.topics.names).difference(names):
            runtime.senders.pop(name, None)
            if runtime.life.state == "configured":
                runtime.events.flush(runtime.topics.states[name])
        runtime.topics.retain(names)

    _change(runtime, remove)


def _change(
    runtime: PublisherRuntime,
    change: Callable[[], None],
    *,
    wait_attached: bool = False,
) -> None:
    """Change the topics, and wait until the broker knows. With ``wait_attached``, also wait for
    the subscribers of the new topics, as `Publisher.configure` does.

    Raises:
        PubSubError: The runtime was closed, or made in another process, or the caller is a
            signal handler that interrupts a send.
    """
    if runtime.life.forked or runtime.life.state == "closed":
        runtime.life.check_usable()
    runtime.check_may_wait()

    def change_and_tell() -> None:
        # The lock orders the submissions; each caller waits separately.
        with runtime.changing:
            change()
            names = runtime.topics.names
            wait_told = runtime.tell_topics()
        try:
            wait_told()
            if wait_attached:
                runtime.wait_attached()
        finally:
            with runtime.changing:
                if runtime.life.state == "configured":
                    runtime.open_topics(names)

    run_uninterrupted(change_and_tell)
