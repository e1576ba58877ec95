"""The leases that a broker has in etcd, and whether they still hold by its own clock.

- *alive*, short: the broker's own key; when it ends, others know that the broker is gone.
- *clients*, long: its clients' keys; they stay while clients look for another broker.
- *left*: how clients left. It is not renewed: another one is granted now and then, so its
  keys are there for 60 to 90 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["alive", "clients", "left"]

_LEFT_S: Final = 90
_LEFT_AGE_S: Final = 30.0
# Of a lease's time: three requests may go without an answer.
_RENEWALS: Final = 3


class _Lease:
    def __init__(self, ttl_s: int, *, renewed: bool) -> None:
        self.ttl_s = ttl_s
        self.renewed = renewed
        self.id = 0  # until it is granted
        self.since = 0.0  # when the request was sent that made it last
        self.until = 0.0  # it lasts so long at least


class Leases:
    """``now`` is seconds of one monotonic clock; ``sent_at`` is when a request was sent, so
    that etcd counts from a later time."""

    def __init__(self, alive_s: int, clients_s: int) -> None:
        """How many seconds the two leases last without a renewal."""
        self._leases: dict[Kind, _Lease] = {
            "alive": _Lease(alive_s, renewed=True),
            "clients": _Lease(clients_s, renewed=True),
            "left": _Lease(_LEFT_S, renewed=False),
        }
        self._interval_s = alive_s / _RENEWALS
        self._renew_at = 0.0

    def ids(self, now: float) -> dict[Kind, int]:
        """Those that can be written with."""
        return {
            kind: lease.id
            for kind, lease in self._leases.items()
            if lease.id and (lease.renewed or now < lease.since + _LEFT_AGE_S)
        }

    def cut_off(self, now: float) -> bool:
        """Whether others may take this broker for gone: it has not renewed in time, as far
        as it knows. It must not say before it looked at its clock that it is alive."""
        return now >= self._leases["alive"].until

    def to_grant(self, now: float, *, leaving: bool) -> dict[Kind, int]:
        """The leases to ask for, and their seconds; ``leaving``: how clients left waits to
        be written."""
        there = self.ids(now)
        return {
            kind: lease.ttl_s
            for kind, lease in self._leases.items()
            if kind not in there and (lease.renewed or leaving)
        }

    def to_renew(self, now: float) -> list[int]:
        """The leases to renew now, in one request; none before that is due."""
        if now < self._renew_at:
            return []
        return [
            lease.id for lease in self._leases.values() if lease.id and lease.renewed
        ]

    def to_revoke(self) -> list[int]:
        """The leases to revoke when the broker ends: clients are to stay, for a while."""
        alive = self._leases["alive"].id
        return [alive] if alive else []

    def granted(self, kind: Kind, lease: int, ttl_s: int, sent_at: float) -> None:
        """etcd granted a lease; it may last longer than was asked for."""
        self._leases[kind].id = lease
        self._extend(self._leases[kind], ttl_s, sent_at)

    def renewed(self, seconds: Mapping[int, int], sent_at: float) -> list[Kind]:
        """etcd answered to a renewal: the seconds of each lease. Returns those that are
        gone, and with them all their keys: these have to be written anew."""
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
        """A renewal is due now: it tells which leases are gone."""
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
