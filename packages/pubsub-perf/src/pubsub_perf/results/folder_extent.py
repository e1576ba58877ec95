"""Tells a folder that somebody meant from one with everything in it, before it is read.

A sweep may have any number of files: its cells have a record, or stand in folders of models.
Other folders are read too, and have a few files of latencies. Somebody who points at a home or
at "/" gets an answer soon, and nothing is written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.printable import printable
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_file
from pubsub_perf.results.latency_file_reader import is_data_name

# DIR/<repetition>/data/<scenario>/<model>/<network>, and no deeper.
MAX_DEPTH: Final = 5
# Nobody draws more subscribers than these that no record tells of.
MAX_FILES: Final = 200
# To look at so many names takes a second; a sweep of so many files there is none.
MAX_NAMES: Final = 100_000


def check_extent(start: Path, folder: Path, purpose: str) -> None:
    """Look at the names from ``start`` on, which is ``folder`` or in it.

    Raises:
        ConfigError: there are too many that are of no sweep. It says what was found.
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
            f"nothing to {purpose} yet: {folder} is no sweep, and has more than "
            f"{_found(files, folders, first, names)}; --yes reads it all the same"
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
    """The names of files and of folders in a folder, hidden ones and links to folders left
    out; none where it cannot be read."""
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
    """Whether a folder is a cell's, or a run's, by its place."""
    parts = place.resolve().parts[-3:]
    return any(part in MODELS for part in parts)
