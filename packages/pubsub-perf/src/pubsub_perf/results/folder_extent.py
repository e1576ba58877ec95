"""Rejects a folder with too many files, like a home directory, before it is read.

A sweep may have any number of files: its cells have a record, or are in folders of models.
Other folders may have a limited number of latency files. For a home directory or "/" the command
ends quickly with a message, and writes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.text.printable import printable
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_file
from pubsub_perf.results.latency_file_reader import is_data_name

# DIR/<repetition>/data/<scenario>/<model>/<network>, and no deeper.
MAX_DEPTH: Final = 5
# Enough for the subscribers of a folder without records.
MAX_FILES: Final = 200
# Listing so many names takes a second; no sweep has so many files.
MAX_NAMES: Final = 100_000


def check_extent(start: Path, folder: Path, purpose: str) -> None:
    """Count the files from ``start`` on, which is ``folder`` or in it.

    Raises:
        ConfigError: too many files are not part of a sweep. The message has their number.
    """
    names = files = folders = 0
    first = ""
    waiting = [(start, 0)]
    while waiting:
        place, depth = waiting.pop()
        here, below = _entries(place)
        if cell_file.NAME in here:
            below = [name for name in below if name.startswith("run-")]
        elif not _is_of_a_model(place):
            names += len(here) + len(below)
            if loose := list(filter(is_data_name, here)):
                files, folders = files + len(loose), folders + 1
                first = first or (place / min(loose)).relative_to(folder).as_posix()
        if files > MAX_FILES or names > MAX_NAMES:
            break
        if depth < MAX_DEPTH:
            waiting += [(place / name, depth + 1) for name in below]
    else:
        return
    raise ConfigError(
        printable(
            f"nothing to {purpose} yet: {folder} is not a sweep, and has more than "
            f"{_found(files, folders, first, names)}; --yes reads it anyway"
        )
    )


def _found(files: int, folders: int, first: str, names: int) -> str:
    if files <= MAX_FILES:
        return f"{MAX_NAMES:,} files and folders ({names:,} so far)"
    where = "1 folder" if folders == 1 else f"{folders:,} folders"
    return (
        f"{MAX_FILES} files that may hold latencies ({files:,} so far, in {where}, the first "
        f"one is {first})"
    )


def _entries(place: Path) -> tuple[list[str], list[str]]:
    """The names of files and of folders in a folder, without hidden ones and links to folders;
    empty if it cannot be read."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(place) as found:
            for entry in found:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif not entry.is_dir():
                    files.append(entry.name)
    except OSError:
        pass
    return files, sorted(folders)


def _is_of_a_model(place: Path) -> bool:
    """Whether a folder is, by its path, the folder of a cell or a run."""
    parts = place.resolve().parts[-3:]
    return any(part in MODELS for part in parts)
