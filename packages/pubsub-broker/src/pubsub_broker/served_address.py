"""The addresses of a broker: where it listens, and the ones that clients and other
brokers get."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pubsub_common.net.addresses import is_local
from pubsub_common.protocol.endpoints import host_of, join, port_of
from pubsub_common.protocol.listening import is_wildcard, near_host

if TYPE_CHECKING:
    from pubsub_broker.config import BrokerConfig


@dataclasses.dataclass(slots=True)
class ServedAddress:
    """``host`` and ``port`` are where the control port is bound; ``advertised`` is the
    host and the control port that others get. Events are forwarded through
    ``forwarding``."""

    host: str
    port: int
    advertised: tuple[str, int]
    forwarding: Callable[[], Collection[int]] = tuple

    @property
    def told(self) -> str:
        """The advertised address, ``HOST:PORT``."""
        return join(*self.advertised)

    def is_own(self, endpoint: str) -> bool:
        """Whether this endpoint is a port of the broker itself. For any thread."""
        host, port = host_of(endpoint), port_of(endpoint)
        told_host, told_port = self.advertised
        forwards = port in self.forwarding()
        if host == told_host and (port == told_port or forwards):
            return True
        if port != self.port and not forwards:
            return False
        return is_local(host) if is_wildcard(self.host) else host == self.host


def served_address(config: BrokerConfig, host: str, port: int) -> ServedAddress:
    """The addresses of a broker that listens at the IP address or wildcard ``host``."""
    told_host, told_port = config.advertised or (near_host(host), None)
    return ServedAddress(host, port, (told_host, told_port or port))
