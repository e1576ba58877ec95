"""Parses the name of a group of brokers, and the address of the etcd with its registry."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import parse_broker_address

ETCD_PORT: Final = 2379
_SCHEME: Final = "etcd://"
_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Endpoint(NamedTuple):
    """The port for clients of one member of etcd."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_registry(text: str) -> tuple[Endpoint, ...]:
    """The endpoints in ``etcd://HOST[:PORT],...``.

    Raises:
        ConfigError: the form is wrong, or a member is named twice.
    """
    if not text.startswith(_SCHEME):
        raise ConfigError(
            f"registry must be like etcd://10.0.0.1,10.0.0.2,10.0.0.3: {text!r}"
        )
    found = []
    for part in text.removeprefix(_SCHEME).split(","):
        try:
            host, port = parse_broker_address(part)
        except ConfigError as error:
            raise ConfigError(f"registry {text!r}: {error}") from None
        found.append(Endpoint(host, ETCD_PORT if port is None else port))
    if len(set(found)) < len(found):
        raise ConfigError(f"registry names a member twice: {text!r}")
    return tuple(found)


def validate_group(name: str) -> str:
    """Return ``name`` if it is a valid name of a group.

    Raises:
        ConfigError: it is not.
    """
    if not _GROUP.fullmatch(name):
        raise ConfigError(
            f"group must be up to 64 letters, digits, _ . - and begin with a letter or digit: "
            f"{name!r}"
        )
    return name
