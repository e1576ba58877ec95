"""Which member of etcd is asked."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_broker.registry_options import Endpoint


class Endpoints:
    """All members, and the one that is asked until it fails.

    A broker's watch and its writes share this: once one of them finds that a member fails,
    both leave it. So the keep-alives, one a second, watch over an idle watch, too.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.all = tuple(endpoints)
        self._at = 0

    @property
    def current(self) -> Endpoint:
        """The one to ask."""
        return self.all[self._at]

    def failed(self, endpoint: Endpoint) -> None:
        """Ask the next one from now on, if this is the one that is asked."""
        at = self._at
        if self.all[at] == endpoint:
            self._at = (at + 1) % len(self.all)
