"""Which registrations the broker accepts. Core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pubsub_broker.registry import Client, Registry
from pubsub_common import messages
from pubsub_common.defaults import CLOCKS, MAX_CLIENTS, MAX_TOPICS_PER_CLIENT
from pubsub_common.endpoints import parse_address, validate_host
from pubsub_common.errors import ConfigError
from pubsub_common.messages import Model, Register, Role
from pubsub_common.wildcards import validate_names, validate_subscriptions

if TYPE_CHECKING:
    from pubsub_broker.policy import Grant


class Refusal(Exception):
    """A registration is not acceptable: a code of `messages`, and words for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def acceptable_topics(
    request: Register,
    model: Model,
    registry: Registry,
    max_topics: int = MAX_TOPICS_PER_CLIENT,
) -> tuple[str, ...]:
    """The topics of a registration that a broker of this model can accept.

    Raises:
        Refusal: it cannot.
    """
    if request.model not in (None, model):
        raise Refusal(
            messages.WRONG_MODEL,
            f"the {request.role} expects a {request.model} broker, this one is {model}",
        )
    topics = _topics(request, max_topics)
    _check_strengths(request, topics)
    try:
        if request.role == "publisher":
            parse_address(request.address)
        else:
            validate_host(request.address)
    except ConfigError as error:
        raise Refusal(messages.BAD_ADDRESS, str(error)) from error
    _check_clock(request, topics, registry)
    return topics


def check_grant(grant: Grant | None, role: Role, topics: Iterable[str]) -> None:
    """Whether a client that may do so much may have these topics.

    Raises:
        Refusal: it may not.
    """
    if grant is None:
        raise Refusal(messages.NOT_ALLOWED, "this client is not enrolled")
    may = grant.may_publish if role == "publisher" else grant.may_subscribe
    verb = "publish on" if role == "publisher" else "subscribe to"
    for topic in topics:
        if not may(topic):
            raise Refusal(
                messages.NOT_ALLOWED,
                f"the policy does not let {grant.name} {verb} {topic!r}",
            )


def check_owner(
    request: Register, user: str, previous: Client | None, registry: Registry
) -> None:
    """Whether a client takes nothing that is another's.

    Raises:
        Refusal: it would.
    """
    if previous is not None and previous.user != user:
        raise Refusal(messages.NOT_ALLOWED, "this session is another client's")
    if request.role != "publisher":
        return
    there = registry.publisher_at(request.address)
    if there is not None and there.user != user:
        raise Refusal(
            messages.NOT_ALLOWED,
            f"another client's publisher is at {request.address}; should it be gone, its "
            "lease will end soon",
        )


def check_room(
    request: Register,
    registry: Registry,
    max_clients: int,
    origin: str | None = None,
    max_from_origin: int = MAX_CLIENTS,
) -> None:
    """Whether there is room for a client that is not registered yet, and among those of
    its ``origin``, the IP address that it comes from.

    Raises:
        Refusal: there is none.
    """
    earlier = None
    if request.role == "publisher":
        earlier = registry.publisher_at(request.address)
    if (
        origin is not None
        and registry.count_from(origin) >= max_from_origin
        and (earlier is None or earlier.origin != origin)
    ):
        raise Refusal(
            messages.TOO_MANY,
            f"{max_from_origin} clients are registered from {origin}, and this broker "
            "takes no more from one address (--max-clients-per-address)",
        )
    if registry.count() < max_clients or earlier is not None:
        return  # or it takes the place of the one that was there
    raise Refusal(
        messages.TOO_MANY,
        f"{max_clients} clients are registered, and this broker takes no more "
        "(--max-clients)",
    )


def _topics(request: Register, max_topics: int) -> tuple[str, ...]:
    count = len(set(request.topics))
    if count > max_topics:
        raise Refusal(
            messages.TOO_MANY,
            f"{count} topics are too many; at most {max_topics} are allowed per client",
        )
    try:
        if request.role == "publisher":
            return validate_names(request.topics)
        return validate_subscriptions(request.topics)
    except ConfigError as error:
        raise Refusal(messages.BAD_TOPIC, str(error)) from error


def _check_strengths(request: Register, topics: tuple[str, ...]) -> None:
    if request.strengths and request.role != "publisher":
        raise Refusal(messages.MALFORMED, f"a {request.role} has no strengths")
    for topic in request.strengths.keys() - set(topics):
        raise Refusal(
            messages.BAD_TOPIC,
            f"a strength for {topic!r}, which is not among the publisher's topics",
        )


def _check_clock(
    request: Register, topics: tuple[str, ...], registry: Registry
) -> None:
    """Latency is a difference of two stamps: both sides need the same clock."""
    if request.clock not in CLOCKS:
        raise Refusal(messages.WRONG_CLOCK, f"unknown clock {request.clock!r}")
    other: Role = "subscriber" if request.role == "publisher" else "publisher"
    for client in registry.matching(other, topics):
        if client.clock != request.clock and client.session != request.session:
            raise Refusal(
                messages.WRONG_CLOCK,
                f"the {request.role} uses the {request.clock} clock, but the "
                f"{other} at {client.address} uses {client.clock}",
            )
