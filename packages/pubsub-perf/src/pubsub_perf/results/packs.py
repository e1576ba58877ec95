"""Packs: the data of a folder as one file, a ZIP archive with the folder in it.

A pack holds what is read of a folder (latency files, details of events, ``cell.json``, files
of experiments) and nothing that is made from it. The same data makes the same pack, byte for
byte. Any ZIP archive of such a folder is read as one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.files import NotReadable, atomic_replace, opened
from pubsub_common.printable import printable
from pubsub_perf.folder_files import (
    MAX_DATA_BYTES,
    MAX_PACKED_FILES,
    MAX_UNPACKED_BYTES,
    leads_out,
)
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_file, event_details_reader
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.folder_extent import MAX_DEPTH
from pubsub_perf.results.latency_file_reader import is_data_name

SUFFIX: Final = ".zip"
_DETAILS: Final = ".csv.gz"
_EXPERIMENT: Final = ".toml"
# Where the copies of other systems' archivers keep what is theirs.
_OF_ARCHIVERS: Final = ("__MACOSX",)
# A pack has no dates of its own: it would be another file each time.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644
_ENCRYPTED: Final = 1
_BLOCK_BYTES: Final = 1024 * 1024
# The longest path in a folder that is read, and that of the folder before it.
_MAX_PARTS: Final = MAX_DEPTH + 5


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


def pack(folder: Path, out: Path | None = None) -> Pack:
    """Pack the data in ``folder`` into one file, ``out``; by default beside the folder.

    Raises:
        ConfigError: there is no data in it, or ``out`` cannot be written.
    """
    read_dataset(folder, "pack")
    out = default_pack(folder) if out is None else out
    try:
        with atomic_replace(out) as part:
            files = _write(folder, part)
            size = part.stat().st_size
            with part.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot write the pack {out}: {error.strerror or error}"
        ) from error
    return Pack(out, files, size, digest)


def _write(folder: Path, part: Path) -> int:
    name = folder.resolve().name
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
        raise ConfigError(str(error)) from error


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_DATE)
    compressed = name.endswith(_DETAILS) or name.endswith("/")
    entry.compress_type = zipfile.ZIP_STORED if compressed else zipfile.ZIP_DEFLATED
    entry.external_attr = _MODE << 16
    return entry


@contextlib.contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """The folder with the results at ``path``: that itself, or, where it is a pack, one that
    holds the pack's data until the block ends.

    Raises:
        ConfigError: it is a pack that cannot be unpacked.
    """
    if not is_pack(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pubsub-pack-") as place:
        folder = unpack(path, Path(place))
        try:
            yield folder
        except ConfigError as error:
            # The reader knows the pack, and not where it was unpacked.
            text = str(error).replace(str(folder), str(path))
            raise ConfigError(text) from error


def report_folder(path: Path) -> Path:
    """Where what is made from the results at ``path`` goes: the folder itself, or one of the
    pack's name beside the pack."""
    if not is_pack(path):
        return path
    return (
        path.with_suffix("") if path.suffix else path.with_name(f"{path.name}-report")
    )


def is_pack(path: Path) -> bool:
    """Whether ``path`` is a file that begins as a pack does."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def unpack(path: Path, place: Path) -> Path:
    """Unpack a pack in the empty folder ``place``; returns the folder with its data, in
    there, which has the name of the one that was packed.

    Raises:
        ConfigError: it cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive.infolist(), place)
            for inside, entry in entries:
                target = place.joinpath(*inside.parts)
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as file:
                    # Never more bytes than the entry says: zipfile sees to that.
                    shutil.copyfileobj(source, file, _BLOCK_BYTES)
    except _Refused as error:
        raise ConfigError(f"{path} is no pack that is read: {error}") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(
            f"{path} cannot be unpacked: {getattr(error, 'strerror', None) or error}"
        ) from error
    return _folder_in(place, path)


class _Refused(Exception):
    """Of a pack, what it has that none of ours has."""


def _checked(
    entries: list[zipfile.ZipInfo], place: Path
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The entries with data, and their paths, which lead out of nowhere."""
    if len(entries) > MAX_PACKED_FILES:
        raise _Refused(f"it has more than {MAX_PACKED_FILES:,} files")
    found = []
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise _Refused(f"a name in it leads out: {printable(entry.filename)}")
        if len(path.parts) > _MAX_PARTS or not (entry.is_dir() or belongs(path)):
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise _Refused("it is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"it is compressed by method {entry.compress_type}")
        found.append((path, entry))
    size = sum(entry.file_size for _, entry in found)
    room = min(MAX_UNPACKED_BYTES, shutil.disk_usage(place).free)
    if size > room:
        raise _Refused(f"it unpacks to {size:,} bytes, and {room:,} are the most")
    return found


def _folder_in(place: Path, path: Path) -> Path:
    """The one folder in ``place``; or all of it, under the name of the pack, where somebody
    has packed what is in a folder instead of the folder."""
    entries = sorted(place.iterdir())
    if len(entries) == 1 and entries[0].is_dir():
        name = entries[0].name
        if name != "data" and name not in MODELS:
            return entries[0]
    folder = place / path.stem
    inner = place / f".{os.urandom(4).hex()}"
    inner.mkdir()
    for entry in entries:
        entry.rename(inner / entry.name)
    inner.rename(folder)
    return folder
