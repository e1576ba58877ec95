"""Compares the programs of two machines."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "pubsub_common",
    "pubsub_broker",
    "pubsub_publisher",
    "pubsub_subscriber",
    "pubsub_perf",
)


@functools.cache
def code_digest() -> str:
    """A digest of our programs: machines with the same digest run the same code. Version
    numbers are not enough while the code changes."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        for path, relative in _sources(name):
            digest.update(f"{name}/{relative}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """``python 3.11.2 and 3.12.1, …``: what differs; empty: nothing."""
    return ", ".join(
        f"{name} {here.get(name, 'none')} and {there.get(name, 'none')}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    )


def _sources(name: str) -> list[tuple[Path, str]]:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).parent
    return [
        (path, path.relative_to(folder).as_posix())
        for path in sorted(folder.rglob("*.py"))
    ]
