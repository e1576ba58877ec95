"""Unpacks results that another machine has packed.

`tarfile` has filters for that only from Python 3.11.4 on, so the rule is here: files and folders
below the target, and nothing else.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from pubsub_common.errors import PubSubError
from pubsub_perf.folder_files import make_folder


class BadArchive(PubSubError):
    """An archive that is not whole, or holds something else than files and folders."""


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of the tar file ``archive`` below ``folder``.

    Raises:
        BadArchive: it is no such archive; some files may have been written.
        OSError: a file cannot be written.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _unpack(tar, member, folder, archive.name)
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"{archive.name} is no whole tar file: {error}") from error


def _unpack(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str
) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise BadArchive(f"{name} leads out of its folder: {member.name}")
    if member.isdir():
        make_folder(folder, *path.parts)
        return
    source = tar.extractfile(member) if member.isreg() else None
    if source is None or not path.name:
        raise BadArchive(f"{name} has more than files: {member.name}")
    target = make_folder(folder, *path.parent.parts) / path.name
    # What is there already is not written through: it might be a link.
    target.unlink(missing_ok=True)
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
