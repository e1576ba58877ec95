"""What a broker that is cut off has entered, and its engine has not written yet."""

from __future__ import annotations

from pubsub_broker.registry.changes import ClientRecord
from pubsub_broker.registry.interface import Client


class Provisional:
    """By session. Such a client may be a publisher that took the address of one of another
    broker's: should it leave before it was written, that one is there as before."""

    def __init__(self) -> None:
        self._entered: dict[int, Client] = {}
        self._hidden: dict[int, ClientRecord] = {}

    def __contains__(self, session: int) -> bool:
        return session in self._entered

    def enter(self, client: Client, hidden: ClientRecord | None) -> None:
        """A client was entered, in the place of ``hidden``, if that was another broker's."""
        self._entered[client.session] = client
        if hidden is not None:
            self._hidden[client.session] = hidden

    def confirm(self, client: Client) -> bool:
        """The engine has written a client; whether that was entered before."""
        if self._entered.get(client.session) != client:
            return False
        self.pop(client.session)
        return True

    def pop(self, session: int) -> ClientRecord | None:
        """Forget a client; returns the one in whose place it was."""
        self._entered.pop(session, None)
        return self._hidden.pop(session, None)

    def forget(self, session: int) -> None:
        """The engine has told of a client itself: entered or hidden, it is as that says."""
        self.pop(session)
        for entered, hidden in list(self._hidden.items()):
            if hidden.client.session == session:
                del self._hidden[entered]

    @property
    def empty(self) -> bool:
        """Whether all was written."""
        return not self._entered and not self._hidden
