"""Decides which registrations the broker accepts."""

from __future__ import annotations

from typing import Final

from pubsub_broker.control.address_rules import AddressRules
from pubsub_broker.control.clients import Clients
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.interface import Client, Registry, topic_memory
from pubsub_broker.registry.occupancy import Occupancy
from pubsub_common.defaults import (
    CLIENTS_PER_ADDRESS_SHARE,
    CLOCKS,
    TOPIC_MEMORY,
    TOPIC_MEMORY_PER_CLIENT,
)
from pubsub_common.errors import ConfigError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Model, Register, Role
from pubsub_common.protocol.wildcards import (
    validate_publisher_topics,
    validate_subscriptions,
)
from pubsub_common.text.counted import counted

_CLIENTS: Final = ("client is", "clients are")
_PUBLISHERS: Final = ("publisher is", "publishers are")


class Admission:
    """Checks registrations with a broker of one model.

    Args:
        pending: Registrations that the group has not confirmed yet; they count.
        max_clients: The limit for clients of this broker.
        max_from_origin: The limit for clients from one IP address.
        max_publishers: The limit for publishers from one IP address.
        max_topics: The limit for topics of one client.
        addresses: The addresses that clients may name.

    The memory for topics counts for all clients of a group, on whichever broker they
    are.
    """

    def __init__(
        self,
        model: Model,
        clients: Clients,
        pending: Occupancy,
        *,
        max_clients: int,
        max_from_origin: int,
        max_publishers: int,
        max_topics: int,
        addresses: AddressRules,
    ) -> None:
        self._model = model
        self._clients = clients
        self._pending = pending
        self._max_clients = max_clients
        self._max_from_origin = max_from_origin
        self._max_publishers = max_publishers
        self._max_topics = max_topics
        self._addresses = addresses

    def validated_topics(
        self, request: Register, origin: str | None
    ) -> tuple[str, ...]:
        """The topics of a registration that came from the IP address ``origin``, if
        known.

        Raises:
            Refusal: the registration is not valid at this broker.
        """
        if request.model not in (None, self._model):
            raise Refusal(
                messages.WRONG_MODEL,
                f"the {request.role} expects a {request.model} broker, this one is "
                f"{self._model}",
            )
        topics = _topics(request, self._max_topics)
        _check_strengths(request, topics)
        self._addresses.check(request, origin)
        _check_clock(request, topics, self._clients.all)
        return topics

    def check_room(
        self,
        request: Register,
        topics: tuple[str, ...],
        origin: str | None,
        previous: Client | None,
    ) -> None:
        """Check that the limits leave room for this client. ``origin`` is its IP
        address; ``previous`` is the client that is registered under its session.

        Raises:
            Refusal: a limit is reached.
        """
        earlier = previous
        if earlier is None and request.role == "publisher":
            earlier = self._clients.all.publisher_at(request.address)
        self._check_topic_memory(topics, origin, earlier)
        if previous is None or self._is_elsewhere(previous):
            here = None if earlier is None or self._is_elsewhere(earlier) else earlier
            self._check_count(request.role, origin, here)

    def _is_elsewhere(self, client: Client) -> bool:
        return self._clients.broker_of(client.session) != self._clients.broker

    def _check_topic_memory(
        self, topics: tuple[str, ...], origin: str | None, earlier: Client | None
    ) -> None:
        """The number of levels in a topic decides how much memory it takes."""
        wanted = topic_memory(topics)
        if wanted > TOPIC_MEMORY_PER_CLIENT:
            raise Refusal(
                messages.TOO_MANY,
                f"{len(topics)} topics with this many levels are too many: they would "
                "take "
                f"{wanted} bytes; at most {TOPIC_MEMORY_PER_CLIENT} are allowed per "
                "client",
            )
        free = 0 if earlier is None else topic_memory(earlier.topics)
        taken = self._clients.all.topic_memory() + self._pending.topic_memory()
        if taken - free + wanted > TOPIC_MEMORY:
            raise _no_memory("all clients", TOPIC_MEMORY)
        if origin is None:
            return
        share = round(TOPIC_MEMORY * CLIENTS_PER_ADDRESS_SHARE)
        if earlier is None or earlier.origin != origin:
            free = 0  # another address gets it back
        taken = self._clients.all.topic_memory(origin)
        if taken + self._pending.topic_memory(origin) - free + wanted > share:
            raise _no_memory(f"all clients from {origin}", share)

    def _check_count(
        self, role: Role, origin: str | None, earlier: Client | None
    ) -> None:
        if (
            origin is not None
            and self._clients.own.count_from(origin) + self._pending.clients(origin)
            >= self._max_from_origin
            and (earlier is None or earlier.origin != origin)
        ):
            raise Refusal(
                messages.TOO_MANY,
                f"{counted(self._max_from_origin, *_CLIENTS)} registered from {origin}, the "
                "most for one address (--max-clients-per-address)",
            )
        if (
            role == "publisher"
            and origin is not None
            and earlier is None
            and self._clients.own.publishers_from(origin)
            + self._pending.publishers(origin)
            >= self._max_publishers
        ):
            raise Refusal(
                messages.TOO_MANY,
                f"{counted(self._max_publishers, *_PUBLISHERS)} registered from {origin}, the "
                "most for one address (--max-clients-per-address)",
            )
        count = self._clients.own.count() + self._pending.count
        if count < self._max_clients or earlier is not None:
            return  # or it replaces the earlier client
        raise Refusal(
            messages.TOO_MANY,
            f"{counted(self._max_clients, *_CLIENTS)} registered, the most for this broker "
            "(--max-clients)",
        )


def _no_memory(owners: str, most: int) -> Refusal:
    return Refusal(
        messages.TOO_MANY,
        f"the topics of {owners} would take more than {most} bytes, which is this "
        "broker's limit",
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
            return validate_publisher_topics(request.topics)
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
    """Latency is the difference of two timestamps: both sides need the same clock."""
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
