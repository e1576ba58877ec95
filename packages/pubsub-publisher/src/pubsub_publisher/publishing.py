"""What both shells do for an event that does not go the short way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pubsub_common.errors import PubSubError
from pubsub_publisher.payloads import bytes_payload, generated_payload
from pubsub_publisher.sending.frame_sender import STOPPED

if TYPE_CHECKING:
    from pubsub_publisher.runtime import PublisherRuntime
    from pubsub_publisher.topics.topic_state import TopicState


def checked(
    runtime: PublisherRuntime, topic: str, payload: object
) -> tuple[Callable[[bytes], int], bytes]:
    """What sends events of ``topic``, and what it sends of ``payload``.

    Raises:
        ConfigError: the topic is not one of ours, or the payload is something else or too large.
        PubSubError: the runtime is not open, or the broker refuses it.
    """
    runtime.check_usable()
    send = runtime.senders.get(topic)
    if send is None:
        runtime.topics.raise_unknown(topic)
    return send, bytes_payload(payload, runtime.config.bounds, text=True)


def send_in_turn(
    runtime: PublisherRuntime, topic: str, stamp_ns: int, payload: bytes
) -> None:
    """An event was not sent, for the reason that ``stamp_ns`` tells
    (`EventSocket.sender`): wait for room, if that is it.

    Raises:
        PubSubError: this was stopped, or closed, or the broker refuses it.
    """
    if stamp_ns and runtime.life.state == "configured":
        state = runtime.topics.states[topic]
        if runtime.events.send_in_turn(state, [(-stamp_ns, payload)]):
            return
    runtime.check_not_refused()
    raise PubSubError(STOPPED)


def generated(runtime: PublisherRuntime, number: int) -> tuple[TopicState, bytes]:
    """Topic and payload of the generated event of this number."""
    names, size = runtime.topics.names, runtime.config.payload_bytes
    payload = generated_payload(number, runtime.core.address, size)
    return runtime.topics.states[names[number % len(names)]], payload
