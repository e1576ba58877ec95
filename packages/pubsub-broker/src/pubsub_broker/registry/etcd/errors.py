"""The errors between a broker and etcd.

::

    PubSubError
    └── EtcdError
        ├── EtcdUnreachable   no answer in time, or no majority: retry later
        ├── EtcdRefused       an operator must change something first
        │   ├── TlsFailed     certificates do not match
        │   └── TokenRejected the client must authenticate again
        ├── Compacted         the requested history is gone: list again
        └── LeaseGone         the lease has ended: grant another one
"""

from __future__ import annotations

from pubsub_common.errors import PubSubError


class EtcdError(PubSubError):
    """Base of all errors of etcd and its client."""


class EtcdUnreachable(EtcdError):
    """No endpoint answered in time. ``maybe_done``: the request may have been executed
    anyway."""

    def __init__(self, detail: str, *, maybe_done: bool = False) -> None:
        super().__init__(detail)
        self.maybe_done = maybe_done


class EtcdRefused(EtcdError):
    """etcd rejected the request, and would reject it again."""


class TlsFailed(EtcdRefused):
    """A member's certificate is not accepted, or it does not accept ours."""


class TokenRejected(EtcdRefused):
    """The token has expired, or users and roles have changed since it was issued."""


class Compacted(EtcdError):
    """The requested revision has been compacted."""


class LeaseGone(EtcdError):
    """The lease does not exist, or no longer."""
