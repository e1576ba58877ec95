"""Applies changes of keys and policy: expels clients, tells publishers the keys to
accept."""

from __future__ import annotations

from collections.abc import Iterable

from pubsub_broker.control.agreement import Agreement
from pubsub_broker.control.dissemination import Dissemination
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.control.membership import Membership
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.registry.interface import Client, Registry
from pubsub_broker.security.authorization import Authorization
from pubsub_common.protocol.messages import Error, Model


class Revocation:
    """Re-checks the clients that are registered here; in a group, each broker re-checks
    its own. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        model: Model,
        own: Registry,
        authorization: Authorization,
        agreement: Agreement,
        membership: Membership,
        notifications: Notifications,
        dissemination: Dissemination,
    ) -> None:
        self._model = model
        self._own = own
        self._agreement = agreement
        self._authorization = authorization
        self._membership = membership
        self._notifications = notifications
        self._dissemination = dissemination

    def recheck(self, keys: Iterable[str], now: float) -> list[Effect]:
        """Re-check the permissions of the clients with these public keys, and expel
        clients that exceed them. Notifies publishers of the keys to accept."""
        if not self._authorization.limited:
            return []
        effects: list[Effect] = []
        changed = set(keys)
        for client in list(self._own.clients()):
            if client.key in changed:
                effects += self._recheck(client, now)

        def no_longer_allowed(client: Client) -> bool:
            return (
                client.key in changed
                and self._authorization.refusal(client) is not None
            )

        self._membership.revoke_departed(no_longer_allowed, now)
        if self._model == "decentralized":
            for client in self._own.clients():
                if client.role == "publisher":
                    self._notifications.set_vouched(
                        client, self._dissemination.vouched(client), now
                    )
        return effects

    def _recheck(self, client: Client, now: float) -> list[Effect]:
        refusal = self._authorization.refusal(client)
        if refusal is None:
            return []
        effects: list[Effect] = []
        connection = self._notifications.get(client.session)
        if connection is not None:
            why = Error(id=-1, code=refusal.code, detail=refusal.detail)
            effects.append(Send(connection.peer, why))
        return effects + self._agreement.expel(client, now)
