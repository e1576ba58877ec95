"""The HTTP server: what it answers, and what it refuses."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from support.ipv6 import needs_ipv6

from pubsub_common.errors import CannotListen, PubSubError
from pubsub_common.net import http_server
from pubsub_common.net.http_server import MAX_HEAD_BYTES, HttpServer, Response

HOST = "127.0.0.1"
WAIT_S = 60

Routes = dict[str, Callable[[], Response]]


@pytest.fixture
def routes() -> Routes:
    def busy() -> Response:
        raise PubSubError("secret detail")

    return {
        "/": lambda: Response("text/plain", b"hello", "default-src 'self'"),
        "/busy": busy,
        "/broken": lambda: 1 / 0,  # type: ignore[dict-item, return-value]
    }


@pytest.fixture
def server(routes: Routes) -> Iterator[HttpServer]:
    with HttpServer(HOST, 0, routes, "pubsub-broker") as server:
        yield server


def ask(
    server: HttpServer, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=host is not None)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


def say(server: HttpServer, data: bytes) -> bytes:
    """The response until the server closes the connection."""
    with socket.create_connection((HOST, server.port), timeout=WAIT_S) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            while piece := connection.recv(4096):
                received += piece
        return received


def test_a_path_is_answered_with_strict_headers(server: HttpServer) -> None:
    status, headers, body = ask(server, "/?x=1")

    assert (status, body) == (200, b"hello")
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Security-Policy"] == "default-src 'self'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "Python" not in headers["Server"]


def test_another_path_is_not_there_and_errors_are_strict_too(
    server: HttpServer,
) -> None:
    status, headers, _ = ask(server, "/../etc/passwd")

    assert status == 404
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/nothing", "/busy"])
def test_head_has_the_headers_without_the_body(server: HttpServer, path: str) -> None:
    status, headers, body = ask(server, path)
    alone = ask(server, path, "HEAD")

    assert body
    assert alone[2] == b""
    headers["Date"] = alone[1]["Date"]
    assert alone[:2] == (status, headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_and_head_are_answered(server: HttpServer, method: str) -> None:
    status, headers, body = ask(server, method=method)

    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert b"hello" not in body


def test_a_broker_that_does_not_answer_is_a_503(server: HttpServer) -> None:
    status, _, body = ask(server, "/busy")

    assert status == 503
    assert b"secret" not in body


def test_a_defect_costs_only_its_own_request(
    server: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(server, b"GET /broken HTTP/1.0\r\n\r\n") == b""

    assert ask(server)[0] == 200
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("", 403),
    ],
)
def test_a_page_elsewhere_cannot_read_this_hosts(
    server: HttpServer, host: str, status: int
) -> None:
    assert ask(server, host=host)[0] == status


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES + b"\r\n",
        b"a" * (MAX_HEAD_BYTES + 1),
    ],
    ids=["path", "headers", "nonsense"],
)
def test_what_is_too_long_is_not_read(server: HttpServer, data: bytes) -> None:
    received = say(server, data)

    # The refusal itself may be lost: the connection ends with unread data.
    assert received == b"" or received.startswith(b"HTTP/1.0 431 ")
    assert ask(server)[0] == 200


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.0\r\nX: y\r\n"], ids=["nothing", "half"]
)
def test_who_does_not_finish_asking_is_cut_off(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(http_server, "TIMEOUT_S", 0.05)

    assert say(server, data) == b""


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"\0\xff\r\n\r\n"])
def test_nonsense_is_not_a_request(server: HttpServer, data: bytes) -> None:
    assert b"hello" not in say(server, data)
    assert ask(server)[0] == 200


def test_no_more_than_so_many_are_answered_at_a_time(
    routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 1)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Response:
        begun.set()
        go_on.wait(WAIT_S)
        return Response("text/plain", b"slow")

    routes["/slow"] = slow
    with HttpServer(HOST, 0, routes, "pubsub-broker") as server:
        first: list[bytes] = []
        thread = threading.Thread(
            target=lambda: first.append(say(server, b"GET /slow HTTP/1.0\r\n\r\n"))
        )
        thread.start()
        assert begun.wait(WAIT_S)

        assert say(server, b"GET / HTTP/1.0\r\n\r\n") == b""

        go_on.set()
        thread.join(WAIT_S)
        assert first[0].endswith(b"slow")


def test_a_port_in_use_is_named(server: HttpServer) -> None:
    with pytest.raises(CannotListen, match=f"HTTP on {HOST}:{server.port}: "):
        HttpServer(HOST, server.port, {}, "pubsub-broker")


@needs_ipv6
def test_it_serves_ipv6_too(routes: Routes) -> None:
    with HttpServer("[::1]", 0, routes, "pubsub-broker") as server:
        for host, status in (
            (f"[::1]:{server.port}", 200),
            ("[::1]", 200),
            (f"localhost:{server.port}", 200),
            (f"evil.example:{server.port}", 403),
            ("[::1", 403),
            ("[evil]", 403),
        ):
            connection = http.client.HTTPConnection("::1", server.port, timeout=WAIT_S)
            with contextlib.closing(connection):
                connection.putrequest("GET", "/", skip_host=True)
                connection.putheader("Host", host)
                connection.endheaders()
                assert connection.getresponse().status == status, host


@needs_ipv6
def test_an_ipv6_port_that_is_taken_is_named(routes: Routes) -> None:
    with HttpServer("[::1]", 0, routes, "pubsub-broker") as server:
        where = rf"on \[::1\]:{server.port}: Address already in use"
        with pytest.raises(CannotListen, match=where):
            HttpServer("[::1]", server.port, routes, "pubsub-broker")
