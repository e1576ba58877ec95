"""The clients that a publisher accepts, and the topics that each may receive.

The broker names the clients to admit by their keys (decentralized; it sends changes at once).
The broker itself is admitted (centralized: its forwarders connect here). A publisher admits
no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pubsub_common.protocol.messages import Vouched
from pubsub_common.protocol.wildcards import matches


class Grants:
    """Keys, and the topics of each. Several threads may read while one updates."""

    def __init__(self, broker: str) -> None:
        """``broker`` is the broker's public key."""
        self._broker = broker
        # Replaced as a whole, not changed.
        self._vouched: Mapping[str, tuple[str, ...] | None] = {}

    def may_connect(self, key: str, _address: str = "") -> bool:
        """Whether the owner of this key may connect."""
        return key == self._broker or key in self._vouched

    def is_broker(self, key: str) -> bool:
        """Whether this is the broker's key."""
        return key == self._broker

    def may_receive(self, key: str, topic: str) -> bool:
        """Whether its owner may receive the events of ``topic``."""
        if key == self._broker:
            return True
        topics = self._vouched.get(key, ())
        return topics is None or any(matches(each, topic) for each in topics)

    def update(self, vouched: Iterable[Vouched]) -> set[str]:
        """Replace the admitted clients. Returns the keys of removed clients and of clients
        with other topics: their connections must end."""
        before = self._vouched
        self._vouched = {
            each.key: None if each.topics is None else tuple(each.topics)
            for each in vouched
        }
        return {
            key
            for key, topics in before.items()
            if self._vouched.get(key, ()) != topics
        }
