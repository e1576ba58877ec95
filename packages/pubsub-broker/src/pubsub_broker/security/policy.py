"""The policy of a secure broker: which client may publish and subscribe which topics.

A policy is TOML, with a table for each client; ``"*"`` is for clients without a table;
topics may contain wildcards, like subscriptions::

    [clients.alice]
    publish = ["sensors/#"]

    [clients."*"]
    subscribe = ["sensors/+/temperature"]
    status = true          # may ask the broker for its status

    [clients.backup]
    publish = ["sensors/#"]
    strength = 10          # may own its topics, with a strength up to this

Everything else is forbidden. Without a policy every enrolled client may do everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pubsub_broker.security.enrollment import validate_name
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.matching import Subscriptions
from pubsub_common.protocol.messages import MAX_STRENGTH, Role
from pubsub_common.protocol.wildcards import covers, validate_subscriptions

_OTHERS: Final = "*"
_FIELDS: Final = ("publish", "subscribe", "status", "strength")
# The strength of a publisher without a grant for one: an owner silences other
# publishers.
_NO_STRENGTH: Final = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """The permissions of one client; None: everything. ``strength`` is the greatest
    allowed one, -1 without one."""

    name: str
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    status: bool = True
    strength: int | None = None

    def may_subscribe(self, subscription: str) -> bool:
        """Whether it may have all topics that a topic or filter matches."""
        return _granted(self.subscribe, subscription)

    def refused(self, role: Role, topics: Sequence[str]) -> str | None:
        """The first of thousands of topics (and filters) that a client of this role may
        not have; None: it may have all."""
        patterns = self.publish if role == "publisher" else self.subscribe
        if patterns is None:
            return None
        granted = Subscriptions(patterns).covers(topics)
        for place, topic in enumerate(topics):
            if not granted >> place & 1:
                return topic
        return None

    def refused_strength(self, strengths: Mapping[str, int]) -> str | None:
        """The reason why a publisher may not have these strengths; None: it may."""
        if self.strength is None:
            return None
        for topic, strength in strengths.items():
            if strength > self.strength:
                most = "" if self.strength < 0 else f"; at most {self.strength}"
                return (
                    f"the policy does not let {self.name} have strength {strength} on "
                    f"{topic!r}{most}"
                )
        return None


class Policy:
    """The grants of all clients."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        """``grants`` by name; the one of ``"*"`` is for all other clients."""
        self._grants = grants

    def grant(self, name: str) -> Grant:
        """The permissions of the client with this name."""
        found = self._grants.get(name) or self._grants.get(_OTHERS)
        if found is None:
            return Grant(name, (), (), status=False, strength=_NO_STRENGTH)
        return dataclasses.replace(found, name=name)


def parse(document: Mapping[str, Any], path: str) -> Policy:
    """Parse a policy from TOML.

    Raises:
        ConfigError: the content is invalid.
    """
    clients = document.get("clients")
    if document.keys() - {"clients"} or not isinstance(clients, dict):
        raise ConfigError(f"{path}: a policy consists of tables like [clients.NAME]")
    grants = {}
    for name, entry in clients.items():
        where = f'{path}: [clients."{name}"]'
        if name != _OTHERS:
            validate_name(name)
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} must be a table")
        unknown = entry.keys() - set(_FIELDS)
        if unknown:
            raise ConfigError(
                f"{where}: unknown key {min(unknown)!r}; keys: {', '.join(_FIELDS)}"
            )
        status = entry.get("status", False)
        if not isinstance(status, bool):
            raise ConfigError(f"{where}: status must be true or false")
        grants[name] = Grant(
            name,
            _topics(entry, "publish", where),
            _topics(entry, "subscribe", where),
            status,
            _strength(entry, where),
        )
    return Policy(grants)


def _strength(entry: Mapping[str, Any], where: str) -> int:
    strength = entry.get("strength", _NO_STRENGTH)
    if "strength" in entry and not (
        isinstance(strength, int)
        and not isinstance(strength, bool)
        and 0 <= strength <= MAX_STRENGTH
    ):
        raise ConfigError(
            f"{where}: strength must be a whole number in 0..{MAX_STRENGTH}, the "
            "greatest for this client"
        )
    return int(strength)


def _topics(entry: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    topics = entry.get(field, [])
    if not isinstance(topics, list) or not all(isinstance(x, str) for x in topics):
        raise ConfigError(f"{where}: {field} must be a list of topics")
    if not topics:
        return ()
    try:
        return validate_subscriptions(topics)
    except ConfigError as error:
        raise ConfigError(f"{where}: {field}: {error}") from None


def _granted(patterns: tuple[str, ...] | None, topic: str) -> bool:
    return patterns is None or any(covers(pattern, topic) for pattern in patterns)
