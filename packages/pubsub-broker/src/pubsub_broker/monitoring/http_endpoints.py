"""The HTTP endpoints of a running broker: its status page and its metrics.

They are independent of the broker's loop. They request the status at the control port,
like any client, at most once per `_FRESH_S`, however many readers there are.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pubsub_common import defaults
from pubsub_common.client.status_client import ask
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.net.http_server import HttpServer, Response
from pubsub_common.protocol.endpoints import is_ipv6
from pubsub_common.protocol.listening import near_host, parse_listen_host
from pubsub_common.protocol.messages import Status
from pubsub_common.text.ascii_numbers import is_digits

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# The server name in HTTP responses.
_PROGRAM: Final = "pubsub-broker"

_FRESH_S: Final = 0.5
# Less than the timeout of the page or of Prometheus.
_ANSWER_S: Final = 3.0
# Files for the two servers, and for a request to one of them, which asks the broker.
HTTP_FILES: Final = 20


class StatusCache:
    """Caches the status of a broker, for any number of threads."""

    def __init__(
        self,
        ask: Callable[[], Status],
        fresh_s: float = _FRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """An answer of ``ask``, or its failure, is valid for ``fresh_s`` seconds."""
        self._ask = ask
        self._fresh_s = fresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._outcome: Status | PubSubError | None = None

    def get(self) -> Status:
        """The current status.

        Raises:
            PubSubError: the broker does not answer.
        """
        with self._lock:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= self._fresh_s:
                try:
                    self._outcome = self._ask()
                except PubSubError as error:
                    self._outcome = error
                self._asked_at = self._clock()
            outcome = self._outcome
        if isinstance(outcome, Status):
            return outcome
        raise PubSubError(f"{outcome}")


class ListenAddress(NamedTuple):
    """An address to listen on."""

    host: str
    port: int


def parse_listen_address(text: str, option: str = "--http") -> ListenAddress:
    """Parse ``PORT`` (for this host only) or ``HOST:PORT``; ``option`` is named in
    errors.

    Raises:
        ConfigError: the text has another form.
    """
    host, colon, port = text.rpartition(":")
    if not (is_digits(port) and int(port) <= 65535):
        raise ConfigError(f"{option}: {text!r} is not PORT or HOST:PORT")
    if ":" in host and not is_ipv6(host):
        raise ConfigError(f"{option}: {text!r}: write an IPv6 address in brackets")
    return ListenAddress(
        parse_listen_host(host) if colon else defaults.LOOPBACK, int(port)
    )


class HttpEndpoints:
    """A page at ``http``, metrics at ``metrics``; None disables one."""

    def __init__(
        self, http: ListenAddress | None, metrics: ListenAddress | None
    ) -> None:
        """Raises:
        PubSubError: the library for metrics is not installed.
        """
        self.http = http
        self.metrics = metrics
        if metrics is not None:
            from pubsub_broker.monitoring.prometheus import check_library

            check_library()

    @contextlib.contextmanager
    def serving(
        self, address: str, port: int, keys: ClientKeys | None = None
    ) -> Iterator[None]:
        """Serve the status of the broker at ``address:port``; ``keys`` are needed if it
        is secure.

        Raises:
            CannotListen: a port is not available.
        """
        source = StatusCache(partial(ask, address, port, _ANSWER_S, keys))
        with contextlib.ExitStack() as servers:
            if self.http is not None:
                from pubsub_broker.monitoring import status_page

                server = HttpServer(
                    *self.http, status_page.StatusRoutes(source.get), _PROGRAM
                )
                servers.enter_context(server)
                _log.info("page: http://%s:%d/", near_host(self.http.host), server.port)
            if self.metrics is not None:
                from pubsub_broker.monitoring import prometheus

                def metrics_page() -> Response:
                    return Response(*prometheus.exposition(source.get()))

                server = HttpServer(*self.metrics, {"/metrics": metrics_page}, _PROGRAM)
                servers.enter_context(server)
                _log.info(
                    "metrics: http://%s:%d/metrics",
                    *(near_host(self.metrics.host), server.port),
                )
            yield
