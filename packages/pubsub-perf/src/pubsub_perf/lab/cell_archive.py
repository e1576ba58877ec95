"""A cell's files as one archive, for the way from a machine to the sweep's folder."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import msgspec

from pubsub_common.errors import PubSubError
from pubsub_perf.experiment.cell_runner import RECORD, prepare, write_record
from pubsub_perf.folder_files import MAX_RECORD_BYTES, make_folder

# Names that our own programs give.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


class BadArchive(PubSubError):
    """It is not the archive of a cell."""


def pack(folder: Path, archive: IO[bytes]) -> None:
    """Write all files of the cell in ``folder`` into ``archive``.

    Raises:
        OSError: a file cannot be read.
    """
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=3) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)


def unpack(archive: IO[bytes], out: Path, folder: Path) -> dict[str, Any]:
    """Put the cell's files into ``folder``, which is in the sweep folder ``out``; returns its
    record, which is written last: what is not whole has none.

    Raises:
        BadArchive: it is something else; nothing has been written.
        OSError: ``folder`` cannot be written.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            members = {_name(member): member for member in tar.getmembers()}
            if RECORD not in members:
                raise BadArchive(f"no {RECORD} in it")
            record = _record(tar, members.pop(RECORD))
            make_folder(out, *folder.relative_to(out).parts)
            prepare(folder)
            for name, member in members.items():
                place = make_folder(folder, *PurePosixPath(name).parent.parts)
                source = tar.extractfile(member)
                with (place / PurePosixPath(name).name).open("wb") as target:
                    shutil.copyfileobj(source, target)  # type: ignore[arg-type]
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"not an archive ({error})") from error
    write_record(folder, record)
    return record


def _name(member: tarfile.TarInfo) -> str:
    if not member.isreg() or not _NAME.fullmatch(member.name):
        raise BadArchive(f"{member.name!r} is no file of a cell")
    return member.name


def _record(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    source = tar.extractfile(member)
    text = source.read(MAX_RECORD_BYTES) if source else b""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadArchive(f"{RECORD} cannot be read ({error})") from error
