"""What a client may do: where the broker is secure, what its grant says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pubsub_broker.errors import Refusal
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register, Role

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Trust
    from pubsub_broker.security.policy import Grant

_HOLD_NO_LONGER: Final = "this client's keys were revoked or have expired"


class Rights:
    """Clients are known by their public keys, ``user`` in what follows. Without ``trust``
    everybody may do everything."""

    def __init__(self, trust: Trust | None, registry: Registry) -> None:
        self._trust = trust
        self._registry = registry

    @property
    def limited(self) -> bool:
        """Whether anything is refused to anybody."""
        return self._trust is not None

    def name_of(self, user: str | None) -> str:
        """The name under which a client was enrolled; empty where nobody is."""
        grant = self._grant(user)
        return "" if grant is None else grant.name

    def check(
        self,
        request: Register,
        topics: Iterable[str],
        user: str | None,
        previous: Client | None,
    ) -> None:
        """Whether a client may register for ``topics``, and takes nothing that is
        another's; ``previous`` is who is registered under its session.

        Raises:
            Refusal: it may not.
        """
        if self._trust is not None:
            _check_grant(self._grant(user), request.role, topics)
            self._check_owner(request, user or "", previous)

    def refusal(self, client: Client) -> Refusal | None:
        """Why a client may no longer have what it has; None: it may."""
        if self._trust is None:
            return None
        grant = self._grant(client.user)
        try:
            _check_grant(grant, client.role, client.topics)
        except Refusal as refusal:
            if grant is None:
                return Refusal(messages.REVOKED, _HOLD_NO_LONGER)
            return refusal
        return None

    def owns(self, session: int, user: str | None) -> bool:
        """Whether this is the user's session, or nobody's."""
        if self._trust is None:
            return True
        client = self._registry.get(session)
        return client is None or client.user == user

    def may_ask_status(self, user: str | None) -> bool:
        """Whether a client may know who is there."""
        if self._trust is None:
            return True
        grant = self._grant(user)
        return grant is not None and grant.status

    def _grant(self, user: str | None) -> Grant | None:
        return None if self._trust is None else self._trust.grant(user)

    def _check_owner(
        self, request: Register, user: str, previous: Client | None
    ) -> None:
        if previous is not None and previous.user != user:
            raise Refusal(messages.NOT_ALLOWED, "this session is another client's")
        if request.role != "publisher":
            return
        there = self._registry.publisher_at(request.address)
        if there is not None and there.user != user:
            raise Refusal(
                messages.NOT_ALLOWED,
                f"another client's publisher is at {request.address}; should it be gone, "
                "its lease will end soon",
            )


def _check_grant(grant: Grant | None, role: Role, topics: Iterable[str]) -> None:
    if grant is None:
        raise Refusal(messages.NOT_ALLOWED, "this client is not enrolled")
    may = grant.may_publish if role == "publisher" else grant.may_subscribe
    verb = "publish on" if role == "publisher" else "subscribe to"
    for topic in topics:
        if not may(topic):
            raise Refusal(
                messages.NOT_ALLOWED,
                f"the policy does not let {grant.name} {verb} {topic!r}",
            )
