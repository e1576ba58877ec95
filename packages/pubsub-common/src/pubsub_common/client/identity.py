"""The data that a client sends to the broker at its registration and with each heartbeat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from pubsub_common.protocol import messages
from pubsub_common.protocol.versions import VERSIONS


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The registration data of a client. ``address`` is ``IP:port`` for a publisher and
    ``IP`` for a subscriber; ``model`` is None for a publisher, ``strengths`` empty for a
    subscriber. ``name`` is for people. ``place`` is of a publisher that shares memory.
    `Register` takes each field by its name."""

    role: messages.Role
    topics: tuple[str, ...]
    address: str
    clock: str
    model: messages.Model | None = None
    strengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    name: str = ""
    place: str | None = None

    def register(self, number: int, session: int | None) -> messages.Register:
        """The message that registers this client, again if it has a ``session``."""
        copied: dict[str, Any] = {name: getattr(self, name) for name in _COPIED_FIELDS}
        own = {"topics": list(self.topics), "strengths": dict(self.strengths)}
        return messages.Register(
            id=number,
            versions=VERSIONS,
            session=session,
            **(copied | own),
        )


_COPIED_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Identity))


@dataclasses.dataclass(frozen=True, slots=True)
class HeartbeatInputs:
    """The sources of a heartbeat's content, called only when one is due.

    ``lost`` returns the number of lost events of each topic of a subscriber, ``published`` a
    publisher's next sequence numbers, and ``latency`` the latency of the events since its
    last call.
    """

    lost: Callable[[], Mapping[str, int]] = lambda: {}
    published: Callable[[], Mapping[str, int]] | None = None
    latency: Callable[[], messages.Latency | None] = lambda: None
