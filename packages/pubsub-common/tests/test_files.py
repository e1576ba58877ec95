"""Files are replaced completely or not at all; that one can be written is known before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.files import atomic_replace, check_writable, write_atomically


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"
    target.write_text("old\n" * 100)

    write_atomically(target, b"new\n")

    assert target.read_bytes() == b"new\n"


def fail_halfway(path: Path) -> None:
    with atomic_replace(path) as part:
        part.write_text("new\n")
        raise OSError(28, "No space left on device")


def test_a_failure_leaves_the_earlier_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "old.csv"
    target.write_text("old\n")

    with pytest.raises(OSError, match="No space"):
        fail_halfway(target)

    assert target.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_the_content_is_on_the_disk_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new.csv"
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _fd: there.append(target.exists()))

    write_atomically(target, b"new\n")

    assert there == [False]
    assert target.read_bytes() == b"new\n"


def test_success_leaves_no_other_file(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"

    write_atomically(target, b"new\n")

    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    check_writable(str(pipe))
    write_atomically(pipe, b"new\n")

    reader.join(30)
    assert pipe.is_fifo()
    assert read == ["new\n"]


def test_a_link_is_followed_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "latencies.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(target)

    check_writable(str(link))
    write_atomically(link, b"old\n")
    write_atomically(link, b"new\n")

    assert link.is_symlink()
    assert target.read_bytes() == b"new\n"
    assert list((tmp_path / "disk").iterdir()) == [target]


def test_a_link_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "absent" / "latencies.csv")

    with pytest.raises(ConfigError, match=r"no folder .*absent"):
        check_writable(str(link))


def test_a_device_can_be_written() -> None:
    # It is not written here: a fault would cost root the null device.
    check_writable(os.devnull)


def test_a_new_and_an_existing_file_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("")

    check_writable(str(tmp_path / "new.csv"))
    check_writable(str(tmp_path / "old.csv"))

    assert not (tmp_path / "new.csv").exists()


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"):
        check_writable(str(tmp_path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder .*absent"):
        check_writable(str(tmp_path / "absent" / "new.csv"))


@pytest.mark.parametrize(
    ("denied", "reason"),
    [(".", "is not writable"), ("old.csv", "write protected")],
)
def test_missing_permission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str, reason: str
) -> None:
    # Not by chmod: root may write everywhere.
    target = tmp_path / "old.csv"
    target.write_text("")
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path / denied)

    with pytest.raises(ConfigError, match=reason):
        check_writable(str(target))


def test_a_write_protected_device_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    with pytest.raises(ConfigError, match="write protected"):
        check_writable(str(pipe))
