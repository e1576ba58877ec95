"""Publishing steps of both shells that are not on the fast path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_publisher.payloads import bytes_payload, generated_payload
from pubsub_publisher.publishing import topic_changes
from pubsub_publisher.sending.frame_sender import STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsub_publisher.runtime import PublisherRuntime
    from pubsub_publisher.topics.topic_state import TopicState


def checked_payload(runtime: PublisherRuntime, payload: object) -> bytes:
    """The bytes of ``payload``.

    Raises:
        ConfigError: It is neither bytes-like nor text, or too large.
        PubSubError: The runtime is not open, or the broker refused it.
    """
    runtime.check_usable()
    return bytes_payload(payload, runtime.config.bounds, text=True)


def sender_of(runtime: PublisherRuntime, topic: str) -> Callable[[bytes], int]:
    """The function that sends events of ``topic``, which is added if it is new.

    Raises:
        ConfigError: The topic is not valid, or it is new and ``declared_only`` is set.
        BrokerUnreachable: The broker did not answer in time.
        RegistrationRefused: The broker refused the topic.
        PubSubError: The runtime is closed, or this call interrupts one that is publishing.
    """
    send = runtime.senders.get(topic) if isinstance(topic, str) else None
    if send is None:
        topic_changes.declare_topic(runtime, topic)
        send = runtime.senders.get(topic)
    if send is None:  # another thread has removed it
        runtime.topics.raise_unknown(topic)
    return send


def send_in_turn(
    runtime: PublisherRuntime, topic: str, stamp_ns: int, payload: bytes
) -> None:
    """Wait for room and send an event that its sender could not send, for the reason in
    ``stamp_ns`` (`EventSocket.sender`).

    Raises:
        PubSubError: This was stopped or closed, or the broker refused it.
    """
    if stamp_ns and runtime.life.state == "configured":
        state = runtime.topics.states[topic]
        if runtime.events.send_in_turn(state, [(-stamp_ns, payload)]):
            return
    runtime.check_not_refused()
    raise PubSubError(STOPPED)


def generated(runtime: PublisherRuntime, number: int) -> tuple[TopicState, bytes]:
    """Topic and payload of the generated event of this number.

    Raises:
        ConfigError: There is no topic.
    """
    names, size = runtime.topics.names, runtime.config.payload_bytes
    if not names:
        raise ConfigError("generated events need at least one topic")
    payload = generated_payload(number, runtime.core.address, size)
    return runtime.topics.states[names[number % len(names)]], payload
