"""Packs: the data of a folder as one file, a ZIP archive with the folder in it.

A pack has the data of a folder (latency files, event details, ``cell.json``, experiment
files) without files made from them. The same data give the same pack, byte for
byte. `unpacking` reads packs.
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
from pubsub_common.text.printable import printable
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
# Folders for metadata of other archive programs.
_OF_ARCHIVERS: Final = ("__MACOSX",)
# A fixed date, so that the same data give the same file.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644
_BLOCK_BYTES: Final = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """A written pack: its number of data files, its size, and its SHA-256 in hexadecimal
    digits."""

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
    """The default path of a folder's pack: beside the folder, with its name."""
    whole = folder.resolve()
    return whole.parent / f"{whole.name}{SUFFIX}"


def pack(folder: Path, out: Path | None = None, *, many: bool = False) -> Pack:
    """Pack the data in ``folder`` into one file, ``out``; by default beside the folder. With
    ``many``, a folder that is not a sweep may have any number of files.

    Raises:
        ConfigError: the folder has no data or too many files, or ``out`` cannot be written.
    """
    if not folder.is_dir():
        raise ConfigError(f"nothing to pack: {folder} is not a folder")
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
                # Empty folders, too, so that a network without runs is named.
                archive.writestr(_entry(f"{name}/{inside}/"), b"")
            elif belongs(inside):
                _add(archive, path, folder, f"{name}/{inside}")
                files += 1
    return files


def _paths(folder: Path, root: Path) -> Iterator[Path]:
    """The paths below ``folder``, down to the depth of data."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or leads_out(entry, root):
            continue
        if entry.is_dir():
            yield entry
            # A run in the deepest folder has more: `run-2/events`.
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
            f"cannot pack {printable(str(path))}: its name is not valid UTF-8"
        ) from error


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    compressed = name.endswith(_DETAILS) or name.endswith("/")
    entry.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
    entry.external_attr = _MODE << 16
    return entry
