"""Checks requests of clients against their grants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pubsub_broker.errors import Refusal
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register, Role

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Grants
    from pubsub_broker.security.policy import Grant
    from pubsub_broker.security.session_signature import SessionSignature

_HOLD_NO_LONGER: Final = "this client's keys were revoked or have expired"


class Authorization:
    """Clients are identified by their public keys (``key``). Without ``grants`` every
    client may do everything. Without ``signature`` any client may claim a session that
    is not registered."""

    def __init__(
        self,
        grants: Grants | None,
        registry: Registry,
        signature: SessionSignature | None = None,
    ) -> None:
        self._grants = grants
        self._registry = registry
        self._signature = signature

    @property
    def limited(self) -> bool:
        """Whether there are any permissions."""
        return self._grants is not None

    def key_name_of(self, key: str | None) -> str:
        """The name under which a client was enrolled; empty without enrollment."""
        grant = self._grant(key)
        return "" if grant is None else grant.name

    def session_for(self, key: str | None, number: int) -> int:
        """A session for this key, derived from a random number."""
        if self._signature is None or key is None:
            return number
        return self._signature.sign(number, key)

    def check(
        self,
        request: Register,
        topics: Sequence[str],
        key: str | None,
        previous: Client | None,
    ) -> None:
        """Check that a client may register for ``topics``, and takes nothing that
        belongs to another client; ``previous`` is the client registered under its
        session.

        Raises:
            Refusal: it may not.
        """
        if self._grants is not None:
            _check_grant(self._grant(key), request.role, topics, request.strengths)
            self._check_owner(request, key or "", previous)

    def refusal(self, client: Client) -> Refusal | None:
        """The reason why a client must lose its registration; None: it may keep it."""
        if self._grants is None:
            return None
        grant = self._grant(client.key)
        try:
            _check_grant(grant, client.role, client.topics, client.strengths)
        except Refusal as refusal:
            if grant is None:
                return Refusal(messages.REVOKED, _HOLD_NO_LONGER)
            return refusal
        return None

    def owns(self, session: int, key: str | None) -> bool:
        """Whether this key owns the session, or no client does."""
        if self._grants is None:
            return True
        client = self._registry.get(session)
        return client is None or client.key == key

    def may_ask_status(self, key: str | None) -> bool:
        """Whether a client may ask for the status."""
        if self._grants is None:
            return True
        grant = self._grant(key)
        return grant is not None and grant.status

    def _grant(self, key: str | None) -> Grant | None:
        return None if self._grants is None else self._grants.grant(key)

    def _check_owner(
        self, request: Register, key: str, previous: Client | None
    ) -> None:
        if previous is not None and previous.key != key:
            raise Refusal(messages.NOT_ALLOWED, "this session is another client's")
        if previous is None and not self._may_bring(request.session, key):
            # That client may be on its way back to a restarted broker.
            raise Refusal(
                messages.NOT_ALLOWED, "this session was given to another client"
            )
        if request.role != "publisher":
            return
        there = self._registry.publisher_at(request.address)
        if there is not None and there.key != key:
            raise Refusal(
                messages.NOT_ALLOWED,
                f"another client's publisher is at {request.address}; if it is gone, "
                "its lease will expire soon",
            )

    def _may_bring(self, session: int | None, key: str) -> bool:
        if session is None or self._signature is None:
            return True
        return self._signature.is_genuine(session, key)


def _check_grant(
    grant: Grant | None,
    role: Role,
    topics: Sequence[str],
    strengths: Mapping[str, int],
) -> None:
    if grant is None:
        raise Refusal(messages.NOT_ALLOWED, "this client is not enrolled")
    topic = grant.refused(role, topics)
    if topic is not None:
        verb = "publish on" if role == "publisher" else "subscribe to"
        raise Refusal(
            messages.NOT_ALLOWED,
            f"the policy does not let {grant.name} {verb} {topic!r}",
        )
    refused = grant.refused_strength(strengths)
    if refused is not None:
        raise Refusal(messages.NOT_ALLOWED, refused)
