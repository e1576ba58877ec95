"""How many clients a broker takes, and how much of each."""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

from pubsub_broker.limits.descriptors import room_for_clients, share_of_address
from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError

_log = logging.getLogger(__name__)

# Besides those for publishers: ports, monitors, forwarders' own.
_SPARE_SOCKETS: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """So many clients may be registered at a time, and so many from one IP address;
    ``sockets`` is how many there may have to be, None: no more than usual."""

    clients: int
    per_address: int
    sockets: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What was asked for; None leaves it to what the open files are enough for."""

    clients: int | None
    per_address: int | None
    registrations_per_s: float
    topics_per_client: int

    def __post_init__(self) -> None:
        """Raises:
        ConfigError: a number cannot work.
        """
        if self.clients is not None:
            validation.at_least("max_clients", self.clients)
        if self.per_address is not None:
            validation.at_least("max_clients_per_address", self.per_address)
        if not 0.1 <= self.registrations_per_s < float("inf"):
            raise ConfigError(
                "max_registrations_per_second must be at least 0.1: "
                f"{self.registrations_per_s}"
            )
        validation.in_range(
            "max_topics_per_client",
            self.topics_per_client,
            1,
            defaults.MAX_TOPICS_PER_CLIENT,
        )

    def make_room(self, *, forwarders: int, secure: bool) -> Room:
        """Allow this process the open files that it takes, as far as may be."""
        clients, warning = room_for_clients(
            self.clients, forwarders=forwarders, secure=secure
        )
        if warning is not None:
            _log.warning("%s", warning)
        sockets = None
        if forwarders and secure:
            # Each publisher has one at each forwarder.
            sockets = clients * forwarders + _SPARE_SOCKETS
        return Room(clients, share_of_address(self.per_address, clients), sockets)
