"""Clients that a cut-off broker has entered before its engine could write them."""

from __future__ import annotations

from pubsub_broker.registry.changes import ClientRecord
from pubsub_broker.registry.interface import Client


class Provisional:
    """By session. A provisional publisher may hide a publisher of another broker at the
    same address. If it leaves before it is written, the hidden one is restored."""

    def __init__(self) -> None:
        self._entered: dict[int, Client] = {}
        self._hidden: dict[int, ClientRecord] = {}

    def __contains__(self, session: int) -> bool:
        return session in self._entered

    def enter(self, client: Client, hidden: ClientRecord | None) -> None:
        """A client was entered; it replaces ``hidden``, a client of another broker."""
        self._entered[client.session] = client
        if hidden is not None:
            self._hidden[client.session] = hidden

    def confirm(self, client: Client) -> bool:
        """The engine has written a client; returns whether it was provisional."""
        if self._entered.get(client.session) != client:
            return False
        self.pop(client.session)
        return True

    def pop(self, session: int) -> ClientRecord | None:
        """Remove a client; returns the client that it replaced."""
        self._entered.pop(session, None)
        return self._hidden.pop(session, None)

    def forget(self, session: int) -> None:
        """The engine has reported this client itself, so the provisional entry is
        obsolete."""
        self.pop(session)
        for entered, hidden in list(self._hidden.items()):
            if hidden.client.session == session:
                del self._hidden[entered]

    @property
    def empty(self) -> bool:
        """Whether all entries have been written."""
        return not self._entered and not self._hidden
