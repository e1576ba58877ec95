"""Packs: the data of a folder as one file, a ZIP archive with the folder in it.

A pack holds what is read of a folder (latency files, details of events, ``cell.json``, files
of experiments) and nothing that is made from it. The same data makes the same pack, byte for
byte. `unpacking` reads them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.files import NotReadable, atomic_replace, opened
from pubsub_common.printable import printable
from pubsub_perf.folder_files import (
    MAX_DATA_BYTES,
    leads_out,
)
from pubsub_perf.results import cell_file, event_details_reader
from pubsub_perf.results.folder_extent import MAX_DEPTH, check_extent
from pubsub_perf.results.latency_file_reader import is_data_name

SUFFIX: Final = ".zip"
_DETAILS: Final = ".csv.gz"
_EXPERIMENT: Final = ".toml"
# Where archivers of other systems keep what is theirs.
_OF_ARCHIVERS: Final = ("__MACOSX",)
# A pack has no dates of its own: it would be another file each time.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644
_BLOCK_BYTES: Final = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was written: how many files of data are in it, its size, and the SHA-256
    of it in hexadecimal digits."""

    path: Path
    files: int
    size_bytes: int
    sha256: str


def belongs(path: PurePosixPath) -> bool:
    """Whether a file at ``path`` in a folder is part of its data."""
    if any(part.startswith(".") or part in _OF_ARCHIVERS for part in path.parts):
        return False
    if path.parent.name == event_details_reader.FOLDER:
        return path.name.endswith(_DETAILS)
    return (
        path.name == cell_file.NAME
        or is_data_name(path.name)
        or path.suffix == _EXPERIMENT
    )


def default_pack(folder: Path) -> Path:
    """Where the pack of a folder goes: beside it, with its name."""
    whole = folder.resolve()
    return whole.parent / f"{whole.name}{SUFFIX}"


def pack(folder: Path, out: Path | None = None, *, many: bool = False) -> Pack:
    """Pack the data in ``folder`` into one file, ``out``; by default beside the folder. With
    ``many``, a folder that is no sweep may have any number of files.

    Raises:
        ConfigError: there is no data in it, or more than somebody may have meant, or ``out``
            cannot be written.
    """
    if not folder.is_dir():
        raise ConfigError(f"nothing to pack: {folder} is no folder")
    if not many:
        check_extent(folder, folder, "pack")
    out = default_pack(folder) if out is None else out
    try:
        with atomic_replace(out) as part:
            files = _write(folder, part)
            if not files:
                raise ConfigError(f"nothing to pack: no data in {folder}")
            size = part.stat().st_size
            with part.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot write the pack {out}: {error.strerror or error}"
        ) from error
    return Pack(out, files, size, digest)


def _write(folder: Path, part: Path) -> int:
    name = folder.resolve().name or "results"
    files = 0
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _paths(folder, folder):
            inside = PurePosixPath(path.relative_to(folder).as_posix())
            if path.is_dir():
                # Empty ones, too: a network without any run is told of.
                archive.writestr(_entry(f"{name}/{inside}/"), b"")
            elif belongs(inside):
                _add(archive, path, folder, f"{name}/{inside}")
                files += 1
    return files


def _paths(folder: Path, root: Path) -> Iterator[Path]:
    """What is in ``folder``, and in folders in it, as deep as data is looked for."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or leads_out(entry, root):
            continue
        if entry.is_dir():
            yield entry
            # Of a run in the last folder that is looked at: `run-2/events`.
            if len(entry.relative_to(root).parts) < MAX_DEPTH + 3:
                yield from _paths(entry, root)
        elif entry.is_file():
            yield entry


def _add(archive: zipfile.ZipFile, path: Path, root: Path, name: str) -> None:
    try:
        with (
            opened(path, MAX_DATA_BYTES, within=root) as (descriptor, _),
            os.fdopen(descriptor, "rb", closefd=False) as source,
            archive.open(_entry(name), "w", force_zip64=True) as target,
        ):
            shutil.copyfileobj(source, target, _BLOCK_BYTES)
    except NotReadable as error:
        raise ConfigError(f"cannot pack {printable(str(error))}") from error
    except OSError as error:
        if error.filename is None:  # of the pack, and not of the file
            raise
        raise ConfigError(
            f"cannot pack {printable(str(path))}: {error.strerror}"
        ) from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"cannot pack {printable(str(path))}: its name is no text in UTF-8"
        ) from error


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    compressed = name.endswith(_DETAILS) or name.endswith("/")
    entry.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
    entry.external_attr = _MODE << 16
    return entry
