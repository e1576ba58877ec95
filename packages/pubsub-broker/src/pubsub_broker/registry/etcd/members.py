"""Asks one member of etcd after the other until one answers, and authenticates."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from pubsub_broker.registry.etcd.answers import TokenAnswer, decode, failure_in
from pubsub_broker.registry.etcd.connection import BadStatus, Connection
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import (
    EtcdUnreachable,
    TlsFailed,
    TokenRejected,
)
from pubsub_broker.registry.etcd.requests import Authenticate, encode
from pubsub_broker.registry_options import Endpoint

if TYPE_CHECKING:
    from pubsub_broker.registry.etcd.credentials import Login

_T = TypeVar("_T")

# More than the time to elect a leader, 1.6 s, at each of three members.
TIMEOUT_S: Final = 5.0
# With few members, one member gets no more than the time of an election: otherwise the
# broker's lease of 3 s would expire for no visible reason.
_ATTEMPT_S: Final = 2.0


class Members:
    """All members of a cluster, for one thread at a time."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        tls: ssl.SSLContext | None = None,
        login: Callable[[], Login] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``login`` returns user and password each time they are needed, as their file
        may change."""
        self.tls = tls
        self.token: str | None = None
        self._endpoints = endpoints
        self._login = login
        self._timeout_s = timeout_s
        self._connection: Connection | None = None

    def post(self, path: str, body: bytes, *, repeat: bool = True) -> bytes:
        """The body of the answer to a request. Without ``repeat`` a request is not sent
        again if it may have been executed.

        Raises:
            EtcdError: there was no answer in time, or it is a failure.
        """

        def attempt(endpoint: Endpoint, deadline: float) -> bytes:
            return self._exchange(endpoint, path, body, deadline)

        return self.ask(attempt, repeat=repeat)

    def ask(
        self, attempt: Callable[[Endpoint, float], _T], *, repeat: bool = True
    ) -> _T:
        """Call ``attempt`` for each member, beginning with the one that answered last,
        each with its share of the remaining time."""
        deadline = time.monotonic() + self._timeout_s
        failures: list[str] = []
        maybe_done = refused = False
        for others in reversed(range(len(self._endpoints.all))):
            endpoint = self._endpoints.current
            now = time.monotonic()
            until = now + min((deadline - now) / (others + 1), _ATTEMPT_S)
            try:
                return self._with_token(attempt, endpoint, until)
            except (EtcdUnreachable, TlsFailed) as error:
                failures.append(f"{endpoint}: {error}")
                refused = isinstance(error, TlsFailed)
                maybe_done = maybe_done or getattr(error, "maybe_done", False)
            self._endpoints.failed(endpoint)
            if maybe_done and not repeat:
                break
        told = "; ".join(failures)
        if refused:
            raise TlsFailed(f"etcd cannot be used: {told}")
        raise EtcdUnreachable(f"etcd does not answer: {told}", maybe_done=maybe_done)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _with_token(
        self, attempt: Callable[[Endpoint, float], _T], endpoint: Endpoint, until: float
    ) -> _T:
        """Authenticate if needed, and again when the token has expired."""
        fresh = self._login is not None and not self.token
        if fresh:
            self._authenticate(endpoint, until)
        try:
            return attempt(endpoint, until)
        except TokenRejected:
            if self._login is None or fresh:
                raise
        self._authenticate(endpoint, until)
        return attempt(endpoint, until)

    def _authenticate(self, endpoint: Endpoint, until: float) -> None:
        assert self._login is not None
        login = self._login()
        self.token = None
        body = encode(Authenticate(login.user, login.password))
        try:
            answer = self._exchange(endpoint, "/v3/auth/authenticate", body, until)
        except EtcdUnreachable as error:
            # The request itself has not been sent then.
            raise EtcdUnreachable(str(error)) from error
        self.token = decode(answer, TokenAnswer).token

    def _exchange(
        self, endpoint: Endpoint, path: str, body: bytes, until: float
    ) -> bytes:
        if self._connection is None or self._connection.endpoint != endpoint:
            self.close()
            self._connection = Connection(endpoint, self.tls)
        try:
            return self._connection.post(path, body, self.token, until)
        except BadStatus as error:
            raise failure_in(error.status, error.body) from None
