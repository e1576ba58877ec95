"""Reads tar files of results that another machine packed.

`tarfile` has filters for this only from Python 3.11.4 on, so the rule is here: an archive holds
files and folders below its root, and nothing else.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from pubsub_common.errors import PubSubError
from pubsub_perf.folder_files import make_folder

Files = Mapping[PurePosixPath, tarfile.TarInfo]


class BadArchive(PubSubError):
    """The archive is damaged, or holds other things than files and folders."""


@contextlib.contextmanager
def opened(archive: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, Files]]:
    """An archive, plain or compressed with gzip, and its files by path. The whole archive is
    checked before the first file is read.

    Raises:
        BadArchive: the archive is damaged, or a path leads out of it.
    """
    gzip = archive.read(2) == b"\x1f\x8b"
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:gz" if gzip else "r:") as tar:
            checked = [(_path(member), member) for member in tar.getmembers()]
            yield tar, {path: member for path, member in checked if member.isreg()}
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"damaged archive: {error}") from error


def write_files(tar: tarfile.TarFile, files: Files, folder: Path) -> None:
    """Write ``files`` of an archive below ``folder``. Existing files are replaced, so that
    nothing is written through a link.

    Raises:
        OSError: a file cannot be written.
    """
    for path, member in files.items():
        target = make_folder(folder, *path.parent.parts) / path.name
        target.unlink(missing_ok=True)
        source = tar.extractfile(member)
        assert source is not None  # regular files have content
        with source, target.open("xb") as file:
            shutil.copyfileobj(source, file)


def _path(member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise BadArchive(f"a path leads out of the archive: {member.name}")
    if not member.isdir() and not (member.isreg() and path.name):
        raise BadArchive(f"not a file or folder: {member.name}")
    return path
