"""Unpacks packs, so that they are read like the folders that were packed.

Any ZIP archive of a folder with data is taken as a pack, whoever has made it: so nothing is
written but files of data, to where they belong, and no more than fits.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Final

from pubsub_common.cli.signals import ending_signals
from pubsub_common.errors import ConfigError
from pubsub_common.printable import printable
from pubsub_perf.folder_files import MAX_PACKED_FILES, MAX_UNPACKED_BYTES
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results.folder_extent import MAX_DEPTH
from pubsub_perf.results.packs import belongs

# Of the folder for temporary files to which a pack is unpacked.
PREFIX: Final = "pubsub-pack-"
_ENCRYPTED: Final = 1
# What `zipfile` raises where an archive is not right, each on some path.
_BROKEN: Final = (
    *(OSError, EOFError, ValueError, RuntimeError, LookupError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
_BLOCK_BYTES: Final = 1024 * 1024
# The longest path in a folder that is read, and that of the folder before it.
_MAX_PARTS: Final = MAX_DEPTH + 5


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
    with _ended_by_signals(), tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        place = Path(name)
        with naming_the_pack(path, place):
            yield unpack(path, place)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit, so that the folder is removed."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = set(ending_signals()) - {signal.SIGINT}
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def naming_the_pack(path: Path, place: Path) -> Iterator[None]:
    """Errors in the block name the pack at ``path``, and not the folder in ``place`` to which
    it was unpacked, which somebody who reads them does not know."""
    try:
        yield
    except ConfigError as error:
        text = str(error)
        for known in (*place.iterdir(), place):
            text = text.replace(str(known), str(path))
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
        raise ConfigError(f"{path} is not read: {error}") from error
    except _BROKEN as error:
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
        if path.is_absolute() or ".." in re.split(r"[/\\]", entry.filename):
            raise _Refused(f"a name in it leads out: {printable(entry.filename)}")
        if len(path.parts) > _MAX_PARTS or not (entry.is_dir() or belongs(path)):
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise _Refused("it is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"it is compressed by method {entry.compress_type}")
        found.append((path, entry))
    size = sum(entry.file_size for _, entry in found)
    if size > MAX_UNPACKED_BYTES:
        raise _Refused(f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
    if size > (room := shutil.disk_usage(place).free):
        raise _Refused(
            f"it unpacks to {size:,} bytes, and {place.parent} has room for {room:,} "
            "(TMPDIR may name another folder)"
        )
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
