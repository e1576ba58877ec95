"""Registrations that were decided on, and that the group's engine has not written yet."""

from __future__ import annotations

import dataclasses

from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.occupancy import Occupancy
from pubsub_common.protocol.messages import Register


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """A ``client`` may register: ``request`` came from ``peer``, and is answered in this
    ``version`` of the protocol."""

    peer: bytes
    request: Register
    version: int
    client: Client


class PendingTable:
    """One registration a session: a later one takes the place of an earlier one."""

    def __init__(self) -> None:
        self.occupancy = Occupancy()  # of those that are to come in addition
        self._by_session: dict[int, tuple[Pending, bool]] = {}
        self._session_by_peer: dict[bytes, int] = {}

    def add(self, pending: Pending, *, additional: bool) -> None:
        """``additional``: there is no client of its session here yet."""
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
        """The session of the client that asked on this connection."""
        return self._session_by_peer.get(peer)

    def pop(self, session: int) -> Pending | None:
        """Forget a registration; returns it. That there is none is no error."""
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
        """Forget all, in the order of their coming; returns them."""
        found = (self.pop(session) for session in list(self._by_session))
        return [pending for pending in found if pending is not None]
