"""Accepted registrations that the group's engine has not written yet."""

from __future__ import annotations

import dataclasses

from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.occupancy import Occupancy
from pubsub_common.protocol.messages import Register


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """An accepted ``client``. Its ``request`` came from ``peer``; the reply uses this
    ``version`` of the protocol."""

    peer: bytes
    request: Register
    version: int
    client: Client


class PendingTable:
    """One registration per session: a later one replaces an earlier one."""

    def __init__(self) -> None:
        self.occupancy = Occupancy()  # of the additional clients
        self._by_session: dict[int, tuple[Pending, bool]] = {}
        self._session_by_peer: dict[bytes, int] = {}

    def add(self, pending: Pending, *, additional: bool) -> None:
        """``additional``: no client of this session is registered here yet."""
        session = pending.client.session
        self.pop(session)
        self._by_session[session] = pending, additional
        self._session_by_peer[pending.peer] = session
        if additional:
            self.occupancy.add(pending.client, 1)

    def get(self, session: int) -> Pending | None:
        """The registration of this session."""
        found = self._by_session.get(session)
        return None if found is None else found[0]

    def session_at(self, peer: bytes) -> int | None:
        """The session of the client that sent its request on this connection."""
        return self._session_by_peer.get(peer)

    def pop(self, session: int) -> Pending | None:
        """Remove and return a registration; None if there is none."""
        found = self._by_session.pop(session, None)
        if found is None:
            return None
        pending, additional = found
        if self._session_by_peer.get(pending.peer) == session:
            del self._session_by_peer[pending.peer]
        if additional:
            self.occupancy.add(pending.client, -1)
        return pending

    def pop_all(self) -> list[Pending]:
        """Remove and return all, oldest first."""
        found = (self.pop(session) for session in list(self._by_session))
        return [pending for pending in found if pending is not None]
