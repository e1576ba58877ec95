"""A cell's files, on their way from a machine to the sweep's folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pubsub_perf.archive import BadArchive
from pubsub_perf.experiment.cell_runner import prepare, read_record, write_record
from pubsub_perf.lab.cell_archive import pack, unpack

RECORD = {"outcome": "ok", "run": 1}


def _cell(folder: Path) -> Path:
    prepare(folder)
    (folder / "subscriber-0.csv").write_text("publisher-0,A,0.001\n")
    (folder / "events" / "subscriber-0.csv.gz").write_bytes(b"events")
    write_record(folder, RECORD)
    return folder


def _archive(*members: tuple[str, bytes]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    archive.seek(0)
    return archive


def test_a_cell_arrives_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    archive = io.BytesIO()
    pack(_cell(tmp_path / "there"), archive)
    archive.seek(0)
    out = tmp_path / "out"
    folder = out / "data" / "centralized" / "tree-d2f2-4hosts"
    prepare(folder)
    (folder / "subscriber-7.csv").write_text("of an earlier run\n")
    assert unpack(archive, out, folder) == RECORD
    assert read_record(folder, out) == RECORD
    assert (folder / "subscriber-0.csv").read_text() == "publisher-0,A,0.001\n"
    assert (folder / "events" / "subscriber-0.csv.gz").read_bytes() == b"events"
    assert not (folder / "subscriber-7.csv").exists()


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b/c", ".hidden", "logs/../../x"]
)
def test_files_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    archive = _archive(("cell.json", b"{}"), (name, b"x"))
    with pytest.raises(BadArchive, match=r"file of a cell|leads out"):
        unpack(archive, tmp_path / "out", tmp_path / "out" / "data")
    assert not (tmp_path / "out").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        link = tarfile.TarInfo("subscriber-0.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    archive.seek(0)
    with pytest.raises(BadArchive):
        unpack(archive, tmp_path, tmp_path / "data")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b broken"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArchive):
        unpack(io.BytesIO(content), tmp_path, tmp_path / "data")


def test_an_archive_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"no cell\.json"):
        unpack(_archive(("subscriber-0.csv", b"")), tmp_path, tmp_path / "data")
