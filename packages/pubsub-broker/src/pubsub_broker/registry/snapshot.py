"""The content of the snapshot file, and the clients of an earlier run that have not
returned.

The file is one JSON object: format, version, the SHA-256 of the content's bytes, and
the content. The checksum detects truncated, damaged or edited content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from pubsub_broker.registry.interface import Client
from pubsub_common.defaults import EXPECTED_MARGIN_S
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import ClientDescription, ClientStatus

FORMAT: Final = "pubsub-broker state"
VERSION: Final = 1
# Encoding this many takes some 10 ms of the broker's loop, at most once a second.
MAX_TOPIC_CHARACTERS: Final = 4 * 1024 * 1024


class SnapshotError(PubSubError):
    """The bytes are not a snapshot that this broker can read; the text has the reason."""


class SnapshotClient(
    ClientDescription, frozen=True, kw_only=True, forbid_unknown_fields=False
):
    """One client. ``idle_s`` is the time between its last presence and the snapshot: 0,
    except for a client that was still expected then."""

    idle_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The clients at ``written_ns``, a time of the realtime clock."""

    written_ns: Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
    clients: list[SnapshotClient]


class _Envelope(msgspec.Struct, kw_only=True):
    format: Literal["pubsub-broker state"]
    version: int
    sha256: str
    content: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_content = msgspec.json.Decoder(Snapshot).decode


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Encode a file."""
    content = _encode(snapshot)
    envelope = _Envelope(
        format=FORMAT,
        version=VERSION,
        sha256=_sha256(content),
        content=msgspec.Raw(content),
    )
    return _encode(envelope) + b"\n"


def decode_snapshot(data: bytes) -> Snapshot:
    """Decode a file.

    Raises:
        SnapshotError: it is damaged, or has another format.
    """
    try:
        envelope = _decode_envelope(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(
            f"it is not a broker state file, or it is cut off: {error}"
        ) from error
    if envelope.version != VERSION:
        raise SnapshotError(
            f"it is of version {envelope.version}, this broker reads {VERSION}"
        )
    content = bytes(envelope.content)
    if _sha256(content) != envelope.sha256:
        raise SnapshotError("its checksum is wrong")
    try:
        return _decode_content(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"it does not contain broker state: {error}") from error


class Expected:
    """The clients of an earlier run that have not returned yet.

    Each has the time of its absence since the snapshot was written, by the realtime
    clock, which may have been changed meanwhile.
    """

    def __init__(
        self, snapshot: Snapshot | None, *, now: float, clock_ns: int, lease_s: float
    ) -> None:
        """``now`` is seconds of the monotonic clock, ``clock_ns`` the realtime clock."""
        self._since = now
        self._until = now + lease_s + EXPECTED_MARGIN_S
        self._clients: dict[int, SnapshotClient] = {}
        self._away_s = 0.0
        if snapshot is not None:
            self._away_s = max(0.0, (clock_ns - snapshot.written_ns) / 1e9)
            self._clients = {client.session: client for client in snapshot.clients}

    def returned(self, session: int) -> bool:
        """A client registered under this session; returns whether it was expected."""
        return self._clients.pop(session, None) is not None

    def sessions(self) -> Iterable[int]:
        """The sessions of the clients that have not returned yet."""
        return self._clients.keys()

    def status_of(self, session: int, now: float) -> ClientStatus | None:
        """The status of one of them; None: it has returned, or is unknown."""
        client = self._clients.get(session)
        if client is None:
            return None
        away_s = self._away_s + (now - self._since)
        return ClientStatus(**_described(client), idle_s=client.idle_s + away_s)

    def status(self, now: float) -> list[ClientStatus]:
        """The clients that have not returned yet."""
        found = (self.status_of(session, now) for session in self._clients)
        return [client for client in found if client is not None]

    def expire(self, now: float) -> tuple[ClientStatus, ...]:
        """The clients that have not returned in time, after which no client is expected
        any more. Empty before that time."""
        if not self._clients or now < self._until:
            return ()
        gone = tuple(self.status(now))
        self._clients.clear()
        return gone

    def next_deadline(self) -> float | None:
        """When `expire` is due; None if no client is expected."""
        return self._until if self._clients else None


def snapshot_of(
    clients: Iterable[Client], expected: Iterable[ClientStatus], clock_ns: int
) -> Snapshot:
    """The snapshot to write: the registered clients, and those still expected. Beyond
    some megabytes of topics it has only the first topic of each client, as other
    clients wait while it is made."""
    budget = _TopicBudget()
    there = [
        SnapshotClient(**_described(client) | {"topics": budget.cut(client.topics)})
        for client in clients
    ]
    away = [
        SnapshotClient(
            **_described(client) | {"topics": budget.cut(client.topics)},
            idle_s=client.idle_s or 0.0,
        )
        for client in expected
    ]
    return Snapshot(written_ns=max(0, clock_ns), clients=there + away)


class _TopicBudget:
    """The memory that the topics of all clients may take together."""

    def __init__(self) -> None:
        self._left = MAX_TOPIC_CHARACTERS

    def cut(self, topics: Sequence[str]) -> list[str]:
        """The topics, or the first one of them."""
        self._left -= sum(map(len, topics))
        return list(topics if self._left >= 0 else topics[:1])


def _described(client: ClientDescription | Client) -> dict[str, Any]:
    return {name: getattr(client, name) for name in ClientDescription.__struct_fields__}


def _sha256(content: bytes) -> str:
    # Only needed for a state file, and OpenSSL takes some memory.
    import hashlib

    return hashlib.sha256(content).hexdigest()
