"""Topics that come and go while a publisher lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pubsub_common.uninterrupted import run_uninterrupted

if TYPE_CHECKING:
    from pubsub_publisher.runtime import PublisherRuntime


def add_topics(
    runtime: PublisherRuntime,
    topics: Iterable[str],
    strengths: Mapping[str, int] | int | None,
) -> None:
    """As `Publisher.add_topics`."""
    _change(runtime, lambda: runtime.topics.add(topics, strengths))


def remove_topics(runtime: PublisherRuntime, topics: Iterable[str]) -> None:
    """As `Publisher.remove_topics`."""

    def remove() -> None:
        names = runtime.topics.excluding(topics)
        for name in set(runtime.topics.names).difference(names):
            runtime.senders.pop(name, None)
            if runtime.life.state == "configured":
                runtime.events.flush(runtime.topics.states[name])
        runtime.topics.retain(names)

    _change(runtime, remove)


def _change(runtime: PublisherRuntime, change: Callable[[], None]) -> None:
    """Raises:
    PubSubError: the runtime was closed, or made in another process, or a signal handler
        asks that interrupts a send.
    """
    if runtime.life.forked or runtime.life.state == "closed":
        runtime.life.check_usable()
    runtime.check_may_wait()

    def change_and_tell() -> None:
        # The last to have the lock is the last to submit; each waits on its own.
        with runtime.changing:
            change()
            runtime.make_senders()
            wait_told = runtime.tell_topics()
        wait_told()

    run_uninterrupted(change_and_tell)
