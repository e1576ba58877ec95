"""Removes the files of processes that were killed while they removed those of others.

iceoryx2 removes what killed processes have left, one node after the other. A process that is
killed in the middle of that leaves files which belong to no node any more, and nobody removes
them. A node that lives has a monitor file, and a tag for each of its ports and services.
"""

from __future__ import annotations

import contextlib
import time
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# Younger files may belong to a node that is being made.
_AGE_S: Final = 10.0
_MONITOR: Final = ".node_monitor"


def remove_leftovers(folder: Path, memory: Path, prefix: str) -> None:
    """``folder`` has iceoryx2's own files, and ``memory`` the memory; the names of files begin
    with ``prefix``."""
    nodes, services = folder / "nodes", folder / "services"
    # First what may be removed: files that come later are in use.
    old = list(_old([*_in(nodes), *_in(services), *memory.glob(f"{prefix}*")]))
    named = [path.name.removeprefix(prefix) for path in _in(nodes)]
    alive = {name.removesuffix(_MONITOR) for name in named if name.endswith(_MONITOR)}
    tags = {
        tag.stem.removeprefix(prefix) for node in alive for tag in _in(nodes / node)
    }
    used = {
        _number_of(path)
        for path in _in(services)
        if path.stem.removeprefix(prefix) in tags
    }
    for path in old:
        name = path.name.removeprefix(prefix)
        node = name.partition(".")[0]
        if path.parent == nodes:
            if node not in alive:
                _remove(path)
        elif path.suffix == ".service":
            if node not in tags:
                _remove(path)
        elif path.suffix == ".dynamic":
            if node.rpartition("_")[2] not in used:
                _remove(path)
        elif path.suffix in (".data", ".connection") and tags.isdisjoint(
            node.split("_")
        ):
            _remove(path)


def _in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _old(paths: Iterable[Path]) -> Iterator[Path]:
    before = time.time() - _AGE_S
    for path in paths:
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                yield path


def _number_of(service: Path) -> str:
    """The number in the name of a service's dynamic memory."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        number = tomllib.loads(service.read_text("utf-8"))["unique_service_id"]
        return str((number["unique_value"] << 64) | number["payload_value"])
    return ""


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            for each in _in(path):
                each.unlink()
            path.rmdir()
        else:
            path.unlink()
