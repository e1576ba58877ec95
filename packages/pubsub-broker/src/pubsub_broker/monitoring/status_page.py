"""The status page and its data, as HTTP answers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import msgspec

from pubsub_broker.monitoring.page_view import view_of
from pubsub_common.net.http_server import Response
from pubsub_common.protocol.messages import Status


class StatusRoutes:
    """The page, and the report that it requests every second: ``/status.json`` has all, and
    ``/status.json/TEXT`` what `view_of` finds for a filter."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        html = Path(__file__).with_name("status_page.html").read_text(encoding="utf-8")
        self._page = Response(
            "text/html; charset=utf-8", html.encode(), policy_of(html)
        )

    def get(self, path: str, /) -> Callable[[], Response] | None:
        """As `Routes.get`."""
        if path == "/":
            return lambda: self._page
        name, _, text = path.removeprefix("/").partition("/")
        return partial(self._report, unquote(text)) if name == "status.json" else None

    def _report(self, text: str) -> Response:
        view = view_of(self._status(), text)
        return Response("application/json", msgspec.json.encode(view))


def policy_of(html: str) -> str:
    """The Content-Security-Policy of a page: it allows only the page's own style and
    script, and requests to its own server."""

    def hashes(element: str) -> str:
        parts = re.findall(f"<{element}>(.*?)</{element}>", html, re.S)
        digests = (hashlib.sha256(part.encode()).digest() for part in parts)
        return " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)

    return (
        f"default-src 'none'; style-src {hashes('style')}; "
        f"script-src {hashes('script')}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
