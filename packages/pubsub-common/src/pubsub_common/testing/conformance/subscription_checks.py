"""Strict checks of the subscriptions of a subscriber."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.events import ReadyRequest, parse_ready_request
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    parse_position_prefix,
    parse_recovery_request,
)
from pubsub_common.protocol.topics import validate_topic
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed


class Position(NamedTuple):
    """How far the publishers of a topic are."""

    topic: str


# Events of a topic are subscribed to by its name.
Subscription = str | ReadyRequest | RecoveryRequest | Position


def read_subscription(raw: bytes) -> Subscription:
    """What a subscription asks for.

    Raises:
        Failed: it is not one of this protocol.
    """
    ready = parse_ready_request(raw)
    if ready is not None:
        return ready
    recovery = parse_recovery_request(raw)
    if recovery is not None:
        return recovery
    position = parse_position_prefix(raw)
    if position is not None:
        return Position(position)
    try:
        if raw.find(b"\0") == len(raw) - 1:
            return validate_topic(raw[:-1].decode())
    except (ConfigError, UnicodeDecodeError):
        pass
    raise Failed(
        "subscriptions to a topic and its zero byte, or to a ready, recovery or position "
        "topic in their one spelling",
        f"one to {raw[:300]!r}",
        page.READY if raw[:1] == b"\xff" else page.EVENTS,
    )


def subscription_check(
    topics: Collection[str], session: Callable[[], int], numbers: Collection[int]
) -> Callable[[Subscription], None]:
    """A check of the subscriptions at a port from which a subscriber has these ``topics``,
    which may become more. ``session`` is its own; its ready topics may tell one of these
    ``numbers`` of topics."""
    seen: set[str] = set()

    def check(what: Subscription) -> None:
        topic = what if isinstance(what, str) else what.topic
        if topic not in topics:
            raise Failed(
                "at each port only subscriptions to the topics that come from there",
                f"one to {topic!r} at the port of {', '.join(sorted(topics)[:5])}",
                page.REGISTERED,
            )
        match what:
            case str():
                seen.add(what)
            case ReadyRequest():
                if what.session != session():
                    raise Failed(
                        f"ready topics with the subscriber's session {session()}",
                        str(what.session),
                        page.READY,
                    )
                if topic not in seen:
                    raise Failed(
                        "the subscription to events before that to the ready topic",
                        f"the ready topic of {topic!r} first",
                        page.READY,
                    )
                if what.topics not in numbers:
                    raise Failed(
                        f"a ready topic of {topic!r} that tells one of {sorted(numbers)} topics",
                        f"{what.topics}, in attempt {what.attempt}",
                        page.READY,
                    )
            case RecoveryRequest():
                if what.subscriber != session():
                    raise Failed(
                        f"questions with the subscriber's session {session()}",
                        str(what.subscriber),
                        page.RECOVERY,
                    )

    return check
