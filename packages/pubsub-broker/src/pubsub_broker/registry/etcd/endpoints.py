"""Where etcd's members are, and which of them is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import parse_broker_address

PORT: Final = 2379
_SCHEME: Final = "etcd://"


class Endpoint(NamedTuple):
    """One member's port for clients."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_registry(text: str) -> tuple[Endpoint, ...]:
    """The endpoints in ``etcd://HOST[:PORT],...``.

    Raises:
        ConfigError: it is not of this form, or names a member twice.
    """
    if not text.startswith(_SCHEME):
        raise ConfigError(f"{text!r} is not a registry like etcd://10.0.0.1,10.0.0.2")
    found = []
    for part in text.removeprefix(_SCHEME).split(","):
        host, port = parse_broker_address(part)
        found.append(Endpoint(host, PORT if port is None else port))
    if len(set(found)) < len(found):
        raise ConfigError(f"{text!r} names an endpoint twice")
    return tuple(found)


class Endpoints:
    """All members, and the one that is asked until it fails.

    A broker's watch and its writes share this: once one of them finds that a member fails,
    both leave it. So the keep-alives, one a second, watch over an idle watch, too.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.all = tuple(endpoints)
        self._at = 0

    @property
    def current(self) -> Endpoint:
        """The one to ask."""
        return self.all[self._at]

    def failed(self, endpoint: Endpoint) -> None:
        """Ask the next one from now on, if this is the one that is asked."""
        at = self._at
        if self.all[at] == endpoint:
            self._at = (at + 1) % len(self.all)
