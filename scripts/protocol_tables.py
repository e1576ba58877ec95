"""Parts of the pages on the protocol that are made from ``docs/protocol-vectors.json``."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

VECTORS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parent.parent / "docs" / "protocol-vectors.json").read_text("utf-8")
)
_MESSAGES: Final = ("requests", "replies")


def vector_block(name: str) -> str:
    """A list of the vectors, as a block of text."""
    items = VECTORS[name]
    if name in _MESSAGES:
        lines = [compact(item) for item in items]
    elif name.startswith("refused_"):
        lines = [" ".join(str(value) for value in item.values()) for item in items]
    else:
        lines = ["\n".join(_fields(item)) + "\n" for item in items]
    return "```\n" + "\n".join(lines).rstrip("\n") + "\n```\n"


def compact(message: object) -> str:
    """A message as the code writes it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _fields(item: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {value if isinstance(value, str) else compact(value)}".rstrip()
        for name, value in item.items()
    ]


TABLES: Final[dict[str, Callable[[], str]]] = {
    f"vectors-{name}": functools.partial(vector_block, name) for name in VECTORS
}
