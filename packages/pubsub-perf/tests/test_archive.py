"""Archives of results from another machine."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pubsub_perf.archive import BadArchive, opened, write_files


def unpack(packed: Path, folder: Path) -> None:
    with packed.open("rb") as file, opened(file) as (tar, files):
        write_files(tar, files, folder)


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "results.tar"
    with tarfile.open(path, "w") as tar:
        for member in members:
            data = b"x" * member.size
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, "/etc/passwd"
    return found


def test_files_come_out_as_they_were_packed(tmp_path: Path) -> None:
    packed = archive(
        tmp_path, member("./", tarfile.DIRTYPE), member("./a/b", size=3), member("c")
    )
    unpack(packed, tmp_path / "out")
    assert (tmp_path / "out/a/b").read_bytes() == b"xxx"
    assert (tmp_path / "out/c").read_bytes() == b""


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/evil"),
        member("../evil"),
        member("a/../../evil"),
        member("evil", tarfile.SYMTYPE),
        member("evil", tarfile.LNKTYPE),
        member("evil", tarfile.FIFOTYPE),
        member("evil", tarfile.CHRTYPE),
    ],
    ids=lambda each: each.name + each.type.decode(),
)
def test_anything_else_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(BadArchive):
        unpack(archive(tmp_path, bad), tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path, member("a", size=5000))
    packed.write_bytes(packed.read_bytes()[:2000])
    with pytest.raises(BadArchive):
        unpack(packed, tmp_path / "out")


def test_no_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    unpack(archive(tmp_path, member("a", size=3)), tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "out" / "a").read_bytes() == b"xxx"
