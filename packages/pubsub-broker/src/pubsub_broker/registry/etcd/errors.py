"""What can go wrong between a broker and etcd.

::

    PubSubError
    └── EtcdError
        ├── EtcdUnreachable   nobody answered in time, or there is no majority: later
        ├── EtcdRefused       an operator has to change something first
        │   ├── TlsFailed     certificates do not fit
        │   └── TokenRejected the client has to authenticate anew
        ├── Compacted         the history that was asked for is gone: list anew
        └── LeaseGone         the lease has ended: grant another one
"""

from __future__ import annotations

from pubsub_common.errors import PubSubError


class EtcdError(PubSubError):
    """Base of all errors of etcd and its client."""


class EtcdUnreachable(EtcdError):
    """No endpoint answered in time. ``maybe_done``: the request may have been carried out
    nevertheless."""

    def __init__(self, detail: str, *, maybe_done: bool = False) -> None:
        super().__init__(detail)
        self.maybe_done = maybe_done


class EtcdRefused(EtcdError):
    """etcd refused the request, and will do so again."""


class TlsFailed(EtcdRefused):
    """A member's certificate is not accepted, or it does not accept ours."""


class TokenRejected(EtcdRefused):
    """The token has ended, or users and roles have changed since it was given."""


class Compacted(EtcdError):
    """The revision that was asked for has been compacted."""


class LeaseGone(EtcdError):
    """There is no such lease, or there is none any more."""
