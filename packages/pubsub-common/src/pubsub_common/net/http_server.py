"""A small HTTP server that answers GET and HEAD requests, in threads.

Any program that can reach the port may send requests. So the number of concurrent
requests, their length, and the time for request and response are bounded.
"""

from __future__ import annotations

import io
import ipaddress
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from pubsub_common.errors import CannotListen, PubSubError
from pubsub_common.net.addresses import family_of, resolve_own, why_not
from pubsub_common.protocol.endpoints import bare, is_loopback, join

_log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 16
MAX_HEAD_BYTES: Final = 8192
TIMEOUT_S: Final = 5.0
_STRICT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


class Response(NamedTuple):
    """The response for a path; ``policy`` is its Content-Security-Policy."""

    content_type: str
    body: bytes
    policy: str = _STRICT_POLICY


class Routes(Protocol):
    """Maps paths to the functions that make their responses."""

    def get(self, path: str, /) -> Callable[[], Response] | None:
        """The function for ``path``; None if there is none."""


class _HeadTooLong(Exception):
    """A request's head has more than `MAX_HEAD_BYTES`."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    sys_version = ""
    timeout = TIMEOUT_S
    _policy = _STRICT_POLICY

    def version_string(self) -> str:
        """The program, without versions."""
        return self.server.program

    def handle(self) -> None:
        """Handle one request; HTTP/1.0 closes the connection after it."""
        # The standard library would read headers of megabytes, and give each byte the
        # timeout of all. So it gets a complete head.
        try:
            head = _read_head(self.connection)
        except _HeadTooLong:
            self.requestline, self.request_version = "", "HTTP/1.0"
            self.command = "GET"
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        except OSError:
            return
        self.connection.settimeout(TIMEOUT_S)
        self.rfile.close()
        self.rfile = io.BufferedReader(io.BytesIO(head))
        self.handle_one_request()

    def do_GET(self) -> None:
        """Send the response of the path."""
        if not self._host_is_allowed():
            self.send_error(HTTPStatus.FORBIDDEN, "ask by IP address or as localhost")
            return
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            answer = route()
        except PubSubError as error:
            _log.debug("no answer for %s: %s", self.path, error)
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "busy; try again")
            return
        self._policy = answer.policy
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # monitors ask so whether a page is there

    def _refuse(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def end_headers(self) -> None:
        """Add the strict headers, also to errors."""
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", self._policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are logged for debugging only."""
        _log.debug(format, *arguments)

    def _host_is_allowed(self) -> bool:
        """Whether the request names this host by address or as localhost.

        A page of another site can make a browser send requests here under its own host
        name, and read the response (DNS rebinding). So a server on loopback rejects
        other names.
        """
        if not self.server.loopback_only:
            return True
        host = self.headers.get("Host", "localhost").rpartition("]")
        name = f"{host[0]}{host[1]}" or host[2].partition(":")[0]
        if name.lower() == "localhost":
            return True
        try:
            ipaddress.ip_address(bare(name))
        except ValueError:
            return False
        return True


def _read_head(connection: socket.socket) -> bytes:
    """The bytes up to the empty line. Raises OSError if they take too long."""
    until = time.monotonic() + TIMEOUT_S
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        if len(head) > MAX_HEAD_BYTES:
            raise _HeadTooLong
        connection.settimeout(max(0.001, until - time.monotonic()))
        piece = connection.recv(MAX_HEAD_BYTES)
        if not piece:
            break
        head += piece
    if len(head) > MAX_HEAD_BYTES:
        raise _HeadTooLong
    return head


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, routes: Routes, program: str) -> None:
        self.routes = routes
        self.program = program
        self.loopback_only = is_loopback(host)
        self.address_family = family_of(host)
        self._free_slots = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__((bare(host), port), _Handler)

    def server_bind(self) -> None:
        """Bind; ``::`` includes IPv4, whatever the system's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the request in a thread, unless too many are being served."""
        if not self._free_slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free_slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the request, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may disconnect before the response, which only affects that client."""
        _log.debug("a request from %s failed", client_address, exc_info=True)


class HttpServer:
    """Serves ``routes`` at ``host:port`` while in a ``with`` block. ``host`` is an IP
    address or a name of this machine, or a wildcard. Port 0 takes a free port, which
    ``port`` returns."""

    def __init__(self, host: str, port: int, routes: Routes, program: str) -> None:
        """Binds the port. Responses name the ``program``.

        Raises:
            CannotListen: the port cannot be bound.
            PubSubError: the name has no known IP address.
        """
        host = resolve_own(host)
        try:
            self._server = _Server(host, port, routes, program)
        except OSError as error:
            raise CannotListen(
                f"cannot serve HTTP on {join(host, port)}: {why_not(host, error)}"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="http", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
