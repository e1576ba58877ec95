"""The enrolled clients: their public keys, and until when these are valid."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pubsub_common.errors import ConfigError
from pubsub_common.security.z85 import is_key

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED: Final = "broker"  # the broker's own file
_FIELDS: Final = {"public", "enrolled", "expires", "revoked"}


@dataclasses.dataclass(frozen=True, slots=True)
class EnrolledKey:
    """An enrolled client; times are in UTC. Expiry is by the broker's clock, as a
    client could change its own."""

    name: str
    public: str
    enrolled: datetime.datetime
    expires: datetime.datetime | None = None
    revoked: datetime.datetime | None = None

    def state(self, now: datetime.datetime) -> str:
        """``ok``, ``revoked`` or ``expired``."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "ok"


def validate_name(name: str) -> str:
    """Return ``name`` if it is a valid name of a client.

    Raises:
        ConfigError: it is not.
    """
    if name == _RESERVED:
        raise ConfigError(f"{name!r} is the broker's own name")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a name for a client: up to 64 letters, digits, '.', '_' and "
            "'-' are"
        )
    return name


def parse(document: Mapping[str, Any], path: str) -> dict[str, EnrolledKey]:
    """Parse the clients of a file, by name.

    Raises:
        ConfigError: the content is invalid.
    """
    clients: dict[str, EnrolledKey] = {}
    owners: dict[str, str] = {}
    for name, entry in document.items():
        where = f"{path}: [{name}]"
        validate_name(name)
        if not isinstance(entry, dict) or entry.keys() - _FIELDS:
            raise ConfigError(
                f"{where} is not a client; its fields are {', '.join(sorted(_FIELDS))}"
            )
        public = entry.get("public")
        if not is_key(public):
            raise ConfigError(f"{where}: public is not a key")
        if public in owners:
            raise ConfigError(f"{where} has the key of [{owners[public]}]")
        owners[public] = name
        enrolled = _time(entry, "enrolled", where)
        if enrolled is None:
            raise ConfigError(f"{where}: enrolled is missing")
        clients[name] = EnrolledKey(
            name=name,
            public=public,
            enrolled=enrolled,
            expires=_time(entry, "expires", where),
            revoked=_time(entry, "revoked", where),
        )
    return clients


def render(clients: Iterable[EnrolledKey]) -> str:
    """Write the content of a file."""
    lines = ["# Written by pubsub-broker keygen, enroll and revoke. No secrets here."]
    for client in sorted(clients, key=lambda each: each.name):
        lines += ["", f'["{client.name}"]', f'public = "{client.public}"']
        for field in ("enrolled", "expires", "revoked"):
            time = getattr(client, field)
            if time is not None:
                lines.append(f"{field} = {time:%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join(lines) + "\n"


def _time(entry: Mapping[str, Any], field: str, where: str) -> datetime.datetime | None:
    value = entry.get(field)
    if value is None:
        return None
    if not isinstance(value, datetime.datetime):
        raise ConfigError(f"{where}: {field} is not a time like 2027-01-31T12:00:00Z")
    if value.tzinfo is None:
        return value.replace(tzinfo=datetime.UTC)
    return value.astimezone(datetime.UTC)
