"""A cell's files as one archive, sent from a machine to the sweep's folder."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import msgspec

from pubsub_perf import archive as archives
from pubsub_perf.archive import BadArchive
from pubsub_perf.experiment.cell_runner import RECORD, prepare, write_record
from pubsub_perf.folder_files import MAX_RECORD_BYTES, make_folder

# A cell has files, and folders with files.
_MAX_DEPTH: Final = 2


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
    """Write the cell's files into ``folder``, which is in the sweep folder ``out``; returns the
    cell's record. The record is written last, so an incomplete cell has none.

    Raises:
        BadArchive: it is not the archive of a cell; nothing has been written.
        OSError: ``folder`` cannot be written.
    """
    with archives.opened(archive) as (tar, found):
        files = dict(found)
        for path in files:
            if len(path.parts) > _MAX_DEPTH or any(p[0] == "." for p in path.parts):
                raise BadArchive(f"not a file of a cell: {path}")
        record_file = files.pop(PurePosixPath(RECORD), None)
        if record_file is None:
            raise BadArchive(f"no {RECORD} in the archive")
        record = _record(tar, record_file)
        make_folder(out, *folder.relative_to(out).parts)
        prepare(folder)
        archives.write_files(tar, files, folder)
    write_record(folder, record)
    return record


def _record(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    source = tar.extractfile(member)
    text = source.read(MAX_RECORD_BYTES) if source else b""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadArchive(f"{RECORD} cannot be read ({error})") from error
