"""Events as files of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.events import Event
from pubsub_subscriber.output.folder_writer import INDEX, FolderWriter


def dump(folder: Path, *payloads: bytes, topic: str = "../../x") -> None:
    writer = FolderWriter(str(folder))
    for number, payload in enumerate(payloads):
        writer.write(Event("10.0.0.1:5556", 7, number, 1_000, payload, topic, 2_000))
    writer.flush()
    writer.close()


def test_payloads_are_files_and_the_rest_is_in_the_index(tmp_path: Path) -> None:
    folder = tmp_path / "events"

    dump(folder, b"\xff\0", b"")

    names = sorted(path.name for path in folder.iterdir())
    assert names == ["00000001.bin", "00000002.bin", INDEX]
    assert (folder / "00000001.bin").read_bytes() == b"\xff\0"
    lines = [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]
    assert lines[0] == {
        "file": "00000001.bin",
        "topic": "../../x",
        "publisher": "10.0.0.1:5556",
        "sequence": 0,
        "published_ns": 1_000,
        "received_ns": 2_000,
        "latency_us": 1.0,
        "size": 2,
    }
    assert [line["file"] for line in lines] == names[:2]


def test_a_second_run_goes_on_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.bin").touch()
    dump(tmp_path, b"a")
    dump(tmp_path, b"b")

    assert (tmp_path / "00000001.bin").read_bytes() == b"a"
    assert (tmp_path / "00000002.bin").read_bytes() == b"b"
    assert len((tmp_path / INDEX).read_text().splitlines()) == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--dump: cannot write"):
        FolderWriter(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="--dump: cannot write"):
        FolderWriter(str(tmp_path / "no" / "folder"))


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    """Python's error of a write names none."""
    (tmp_path / INDEX).symlink_to("/dev/full")
    writer = FolderWriter(str(tmp_path))
    writer.write(Event("10.0.0.1:5556", 7, 0, 1_000, b"x", "A", 2_000))

    for end in (writer.flush, writer.close):
        with pytest.raises(OSError, match="No space left") as error:
            end()
        assert error.value.filename == str(tmp_path / INDEX)
