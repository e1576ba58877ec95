"""The status page and its data, as HTTP answers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pubsub_broker.monitoring.status_view import view_of
from pubsub_common.net.http_server import Response
from pubsub_common.protocol.messages import Status


def routes(status: Callable[[], Status]) -> Mapping[str, Callable[[], Response]]:
    """The page, and the data that it requests each second."""
    html = Path(__file__).with_name("status_page.html").read_text(encoding="utf-8")
    page = Response("text/html; charset=utf-8", html.encode(), policy_of(html))

    def report() -> Response:
        return Response("application/json", msgspec.json.encode(view_of(status())))

    return {"/": lambda: page, "/status.json": report}


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
