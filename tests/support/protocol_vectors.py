"""The vectors of the protocol, from ``docs/protocol-vectors.json``."""

from __future__ import annotations

import json
from typing import Any, Final

from support.paths import DOCS

VECTORS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (DOCS / "protocol-vectors.json").read_text("utf-8")
)


def message_lines(name: str) -> list[str]:
    """The messages of a list, as the code writes them."""
    return [
        json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        for message in VECTORS[name]
    ]
