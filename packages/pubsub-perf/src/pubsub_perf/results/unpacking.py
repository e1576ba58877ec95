"""Unpacks packs, so that they are read like the folders that were packed.

Every ZIP archive of a folder with data counts as a pack, from any program. So only data files are
written, only below the target folder, and only within the limits of size.
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
from pubsub_common.text.printable import printable
from pubsub_perf.folder_files import MAX_PACKED_FILES, MAX_UNPACKED_BYTES
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results.folder_extent import MAX_DEPTH
from pubsub_perf.results.packs import belongs

# Prefix of the temporary folder for an unpacked pack.
PREFIX: Final = "pubsub-pack-"
_ENCRYPTED: Final = 1
# Errors of `zipfile` for damaged archives.
_BROKEN: Final = (
    *(OSError, EOFError, ValueError, RuntimeError, LookupError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
_BLOCK_BYTES: Final = 1024 * 1024
# The longest path in a data folder, and the packed folder before it.
_MAX_PARTS: Final = MAX_DEPTH + 5


@contextlib.contextmanager
def results_folder(path: Path) -> Iterator[Path]:
    """The folder with the results at ``path``: the folder itself, or for a pack a temporary
    folder with its data until the block ends.

    Raises:
        ConfigError: the pack cannot be unpacked.
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
    """Errors in the block name the pack at ``path`` instead of its temporary folder in
    ``place``, which the user does not know."""
    try:
        yield
    except ConfigError as error:
        text = str(error)
        for known in (*place.iterdir(), place):
            text = text.replace(str(known), str(path))
        raise ConfigError(text) from error


def report_folder(path: Path) -> Path:
    """The default folder for reports on the results at ``path``: the folder itself, or for a
    pack the folder beside it with its name."""
    if not is_pack(path):
        return path
    return (
        path.with_suffix("") if path.suffix else path.with_name(f"{path.name}-report")
    )


def is_pack(path: Path) -> bool:
    """Whether ``path`` is a file with the first bytes of a pack."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def unpack(path: Path, place: Path) -> Path:
    """Unpack a pack in the empty folder ``place``; returns the folder with its data, which
    has the name of the packed folder.

    Raises:
        ConfigError: the pack cannot be unpacked.
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
                    # zipfile writes at most the size in the entry.
                    shutil.copyfileobj(source, file, _BLOCK_BYTES)
    except _Refused as error:
        raise ConfigError(f"{path} is rejected: {error}") from error
    except _BROKEN as error:
        raise ConfigError(
            f"{path} cannot be unpacked: {getattr(error, 'strerror', None) or error}"
        ) from error
    return _folder_in(place, path)


class _Refused(Exception):
    """A reason to reject a pack."""


def _checked(
    entries: list[zipfile.ZipInfo], place: Path
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The entries with data, and their checked paths."""
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
    """The only folder in ``place``; or ``place`` under the name of the pack, if the archive has
    the content of a folder instead of the folder."""
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
