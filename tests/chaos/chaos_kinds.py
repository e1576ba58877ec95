"""Kinds of systems: their features, and their topics."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pubsub_broker.security.key_store import KeyStore
from pubsub_common.protocol.messages import Model

# Topics of all publishers. With several forwarders each comes from another one.
SHARED: Final = ("A", "B")
PUBLISHERS: Final = ("pub1", "pub2", "pub3")
SUBSCRIBERS: Final = ("sub1", "sub2", "sub3", "sub4")
# Requests the status of brokers.
OPERATOR: Final = "operator"
# Together they match all topics, one in more than one way.
_FILTERS: Final = {"sub1": ("#",), "sub2": ("A", "+", "own/+")}
_ONE_TOPIC: Final = {"sub1": ("A",), "sub3": ("B",)}
_WEAK: Final = 1
_STRONG: Final = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """``keys``: the broker is secure, and its policy grants the necessary permissions.
    ``wildcards``: subscribers have them, and each publisher has its own topic in
    addition to the shared ones. ``strengths``: shared topics are owned, each by another
    publisher. ``forwarders``: their number, if the broker forwards. ``apart``: some
    subscribers have one of the shared topics. Large events go by shared memory, if that
    is installed."""

    name: str = ""
    keys: bool = False
    wildcards: bool = False
    strengths: bool = False
    apart: bool = False
    forwarders: int = 1
    # Of each event; and events a second of a publisher.
    payload_bytes: int = 0
    rate: int = 200
    # What a process may take more after its start.
    more_fds: int = 0
    more_rss_kib: int = 0
    models: tuple[Model, ...] = ("centralized", "decentralized")

    def prepare(self, folder: Path) -> None:
        """Make the files that must exist before the start."""
        if not self.keys:
            return
        store = KeyStore(folder / "keys")
        store.create()
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        lines = []
        for role, names in (("publish", PUBLISHERS), ("subscribe", SUBSCRIBERS)):
            for name in names:
                store.enroll(name, now=now)
                lines += [f"[clients.{name}]", f"{role} = {self._granted(name)}"]
                if self.strengths and role == "publish":
                    lines.append(f"strength = {_STRONG}")
        store.enroll(OPERATOR, now=now)
        lines += [f"[clients.{OPERATOR}]", "status = true"]
        policy = folder / "keys" / "policy.toml"
        policy.write_text("\n".join([*lines, ""]))
        policy.chmod(0o600)

    def broker_options(self, folder: Path, *, centralized: bool) -> list[object]:
        """For the broker's command line."""
        options: list[object] = []
        if self.keys:
            options += ["--secure", folder / "keys"]
        if centralized and self.forwarders > 1:
            options += ["--forwarders", self.forwarders]
        return options

    def published(self, name: str) -> tuple[str, ...]:
        """The topics of a publisher."""
        return (*SHARED, f"own/{name}") if self.wildcards else SHARED

    def subscribed(self, name: str) -> tuple[str, ...]:
        """The topics of a subscriber, which match all published ones, if not ``apart``."""
        if self.apart:
            return _ONE_TOPIC.get(name, SHARED)
        return _FILTERS.get(name, ("#",)) if self.wildcards else SHARED

    def publisher(self, name: str, folder: Path) -> dict[str, Any]:
        """More options of a Publisher."""
        options = self._client(name, folder)
        if self.strengths:
            options["strengths"] = dict(self.strengths_of(name))
        return options

    def subscriber(self, name: str, folder: Path) -> dict[str, Any]:
        """More options of a Subscriber."""
        return self._client(name, folder)

    def strengths_of(self, name: str) -> Mapping[str, int]:
        """The strengths of a publisher, by topic. Each publisher is the strongest
        somewhere, so that each fault hits an owner."""
        strong = PUBLISHERS.index(name) % len(SHARED)
        return {
            topic: _STRONG if index == strong else _WEAK
            for index, topic in enumerate(SHARED)
        }

    def _client(self, name: str, folder: Path) -> dict[str, Any]:
        return {"keys": str(folder / "keys" / f"{name}.keys")} if self.keys else {}

    def _granted(self, name: str) -> str:
        topics = self.published(name) if name in PUBLISHERS else self.subscribed(name)
        return "[" + ", ".join(f'"{topic}"' for topic in topics) + "]"


PLAIN: Final = Kind()
KEYS: Final = Kind("keys", keys=True)
WILDCARDS: Final = Kind("wildcards", wildcards=True)
STRENGTHS: Final = Kind("strengths", strengths=True)
FORWARDERS: Final = Kind("forwarders", forwarders=4, models=("centralized",))
WILD_FORWARDERS: Final = Kind(
    "wildcards, forwarders", wildcards=True, forwarders=4, models=("centralized",)
)
EVERYTHING: Final = Kind(
    "everything", keys=True, wildcards=True, strengths=True, forwarders=4
)
# Histories grow to 256 MiB; each connection to shared memory takes some descriptors.
SHARED_MEMORY: Final = Kind(
    "shared memory",
    apart=True,
    payload_bytes=65_536,
    rate=100,
    more_fds=64,
    more_rss_kib=384 * 1024,
    models=("decentralized",),
)
KINDS: Final = (
    PLAIN,
    KEYS,
    WILDCARDS,
    STRENGTHS,
    FORWARDERS,
    WILD_FORWARDERS,
    EVERYTHING,
    SHARED_MEMORY,
)
