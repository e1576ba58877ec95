"""The leases of a broker in etcd, and whether they are valid by its own clock.

- *alive*, short: the broker's own key; when it expires, the broker counts as dead.
- *clients*, long: the keys of its clients, which stay while clients look for another broker.
- *left*: departures of clients. It is not renewed: a new one is granted regularly, so its
  keys are there for 60 to 90 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["alive", "clients", "left"]

_LEFT_S: Final = 90
_LEFT_AGE_S: Final = 30.0
# A fraction of a lease's time: three requests may go without an answer.
_RENEWALS: Final = 3


class _Lease:
    def __init__(self, ttl_s: int, *, renewed: bool) -> None:
        self.ttl_s = ttl_s
        self.renewed = renewed
        self.id = 0  # until it is granted
        self.since = 0.0  # when the request for the current period was sent
        self.until = 0.0  # it lasts at least until then


class Leases:
    """``now`` is seconds of one monotonic clock; ``sent_at`` is when a request was
    sent, so that etcd counts from a later time."""

    def __init__(self, alive_s: int, clients_s: int) -> None:
        """``alive_s`` and ``clients_s``: the seconds that the two leases last without a
        renewal."""
        self._leases: dict[Kind, _Lease] = {
            "alive": _Lease(alive_s, renewed=True),
            "clients": _Lease(clients_s, renewed=True),
            "left": _Lease(_LEFT_S, renewed=False),
        }
        self._interval_s = alive_s / _RENEWALS
        self._renew_at = 0.0

    def ids(self, now: float) -> dict[Kind, int]:
        """The ids of the leases that records can use."""
        return {
            kind: lease.id
            for kind, lease in self._leases.items()
            if lease.id and (lease.renewed or now < lease.since + _LEFT_AGE_S)
        }

    def cut_off(self, now: float) -> bool:
        """Whether other brokers may consider this one dead: it has not renewed in time
        by its own clock. The broker must check this before it acts as alive."""
        return now >= self._leases["alive"].until

    def to_grant(self, now: float, *, leaving: bool) -> dict[Kind, int]:
        """The leases to request, and their seconds; ``leaving``: a departure waits to
        be written."""
        there = self.ids(now)
        return {
            kind: lease.ttl_s
            for kind, lease in self._leases.items()
            if kind not in there and (lease.renewed or leaving)
        }

    def to_renew(self, now: float) -> list[int]:
        """The leases to renew now, in one request; empty before that is due."""
        if now < self._renew_at:
            return []
        return [
            lease.id for lease in self._leases.values() if lease.id and lease.renewed
        ]

    def to_revoke(self) -> list[int]:
        """The leases to revoke when the broker ends; its clients stay for a while."""
        alive = self._leases["alive"].id
        return [alive] if alive else []

    def granted(self, kind: Kind, lease: int, ttl_s: int, sent_at: float) -> None:
        """etcd granted a lease; it may last longer than requested."""
        self._leases[kind].id = lease
        self._extend(self._leases[kind], ttl_s, sent_at)

    def renewed(self, seconds: Mapping[int, int], sent_at: float) -> list[Kind]:
        """etcd answered a renewal with the seconds of each lease. Returns the leases
        that are gone; all their keys are gone too, and must be written again."""
        self._renew_at = sent_at + self._interval_s
        gone = []
        for kind, lease in self._leases.items():
            if lease.id in seconds:
                if seconds[lease.id] > 0:
                    self._extend(lease, seconds[lease.id], sent_at)
                else:
                    gone.append(kind)
                    self.forget(kind)
        return gone

    def renew_now(self) -> None:
        """A renewal is due now: it finds out which leases are gone."""
        self._renew_at = 0.0

    def forget(self, kind: Kind) -> None:
        """A lease is gone, or was revoked."""
        self._leases[kind].id = 0
        self._leases[kind].until = 0.0

    def next_deadline(self, now: float) -> float:
        """When a renewal or a grant is due."""
        return now if self.to_grant(now, leaving=False) else self._renew_at

    def _extend(self, lease: _Lease, ttl_s: int, sent_at: float) -> None:
        lease.since = sent_at
        lease.until = max(lease.until, sent_at + ttl_s)
