"""Chooses the member of etcd for requests."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_broker.registry_options import Endpoint


class Endpoints:
    """All members, and the one that is used until it fails.

    A broker's watch and its writes share this: when one of them fails, both change the
    member. So the keep-alives, one per second, also check the member of an idle watch.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.all = tuple(endpoints)
        self._at = 0

    @property
    def current(self) -> Endpoint:
        """The member for the next request."""
        return self.all[self._at]

    def failed(self, endpoint: Endpoint) -> None:
        """If this member is the current one, use the next one from now on."""
        at = self._at
        if self.all[at] == endpoint:
            self._at = (at + 1) % len(self.all)
