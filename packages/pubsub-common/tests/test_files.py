"""Files are replaced completely or not at all; that one can be written is known before."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.files import (
    NotReadable,
    atomic_replace,
    check_writable,
    last_lines,
    read_file,
    reason_of,
    write_atomically,
)


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


# Reading


def write_slowly(pipe: Path, *parts: bytes) -> threading.Thread:
    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            for part in parts:
                file.write(part)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_a_plain_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()

    assert read_file(tmp_path / "file", 7) == b"content"
    assert read_file(str(tmp_path / "link"), 7) == b"content"
    assert read_file(tmp_path / "empty") == b""


def test_a_missing_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")
    (tmp_path / "link").symlink_to("none")
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "link")


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "zero", "link to zero"])
def test_what_is_no_plain_file_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "zero":
            path = Path("/dev/zero")
        case "link to zero":
            path.symlink_to("/dev/zero")

    with pytest.raises(
        ConfigError, match=f"cannot read {path}: it is not a plain file"
    ):
        read_file(path)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(
        ConfigError, match="it is too large, of more than 1048576 bytes"
    ):
        read_file(path)


def test_a_file_that_grows_while_it_is_read_is_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)

    def grow(_found: os.stat_result) -> None:
        with path.open("ab") as file:
            file.truncate(1 << 40)

    with pytest.raises(ConfigError, match="too large"):
        read_file(path, 100, check=grow)


def test_a_file_that_is_replaced_by_a_pipe_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    plain = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda _path: plain)

    with pytest.raises(ConfigError, match="it is not a plain file"):
        read_file(path)


def test_a_pipe_is_read_to_its_end_where_that_is_asked_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = write_slowly(pipe, b"con", b"tent")

    assert read_file(pipe, 7, pipe_timeout_s=30.0) == b"content"
    writer.join(30)


def test_no_more_comes_by_a_pipe_than_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = write_slowly(pipe, b"x" * 8)

    with pytest.raises(ConfigError, match="too large, of more than 7 bytes"):
        read_file(pipe, 7, pipe_timeout_s=30.0)
    os.close(reader)
    writer.join(30)


@pytest.mark.parametrize(
    ("has_writer", "reason"),
    [(False, "nobody writes to the pipe"), (True, "the pipe has not ended in time")],
)
def test_a_pipe_that_does_not_end_is_given_up(
    tmp_path: Path, has_writer: bool, reason: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    kept = os.open(pipe, os.O_RDWR) if has_writer else None

    with pytest.raises(ConfigError, match=reason):
        read_file(pipe, pipe_timeout_s=0.01)
    if kept is not None:
        os.close(kept)


@pytest.mark.parametrize("content", [b"", b"content"])
def test_a_pipe_of_a_shell_whose_writer_has_ended(content: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)

    assert read_file(f"/dev/fd/{reader}", pipe_timeout_s=30.0) == content
    os.close(reader)


def test_a_pipe_that_was_opened_and_closed_is_at_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = write_slowly(pipe)

    assert read_file(pipe, pipe_timeout_s=30.0) == b""
    writer.join(30)


def test_a_device_is_no_pipe() -> None:
    with pytest.raises(ConfigError, match="it is neither a plain file nor a pipe"):
        read_file("/dev/zero", pipe_timeout_s=30.0)


def test_a_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "own").write_bytes(b"own")
    (folder / "to_own").symlink_to("own")
    (folder / "out").symlink_to("../secret")
    (folder / "up").symlink_to("..")
    (tmp_path / "named").symlink_to(folder)

    for within in (folder, tmp_path / "named"):
        assert read_file(folder / "own", within=within) == b"own"
        assert read_file(folder / "to_own", within=within) == b"own"
        for name in ("out", "up/secret", "../secret"):
            with pytest.raises(NotReadable, match="out of the folder") as caught:
                read_file(folder / name, within=within)
            assert caught.value.reason == "it is a link out of the folder"


# Links where a file is to be written


def test_no_name_of_a_file_that_is_not_ready_can_be_foreseen(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"
    found = []

    for _ in range(2):
        with atomic_replace(target) as part:
            assert part.read_bytes() == b""
            found.append(part.name)

    assert found[0] != found[1]


def test_a_link_in_a_folder_of_others_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "report.md").symlink_to("victim")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)

    for name in ("report.md", "pipe", "null"):
        write_atomically(tmp_path / name, b"new", follow_link=False)
        assert (tmp_path / name).read_bytes() == b"new"
        assert not (tmp_path / name).is_symlink()

    assert victim.read_bytes() == b"mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of others")
def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(b"mine")
    link.symlink_to(victim)
    os.chown(link, 12345, 12345, follow_symlinks=False)

    with pytest.raises(ConfigError, match=r"link: it is a link that another user has"):
        check_writable(str(link))
    with pytest.raises(OSError, match="it is a link that another user has made"):
        write_atomically(link, b"new")

    assert victim.read_bytes() == b"mine"


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("link")

    with pytest.raises(ConfigError, match="link: circular links"):
        check_writable(str(link))
    with pytest.raises(OSError, match="circular links"):
        write_atomically(link, b"new")


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 200_000 + b"\na\nb \xff\nc\n\n")
    assert last_lines(log, 3) == ["a", "b \ufffd", "c"]
    assert len("".join(last_lines(log, 99))) < 70_000
    log.write_bytes(b"")
    assert last_lines(log, 3) == []


@pytest.mark.parametrize("named", [None, "part", "other"])
def test_a_full_disk_names_the_file_that_was_asked_for(
    tmp_path: Path, named: str | None
) -> None:
    path = tmp_path / "latency.csv"
    names = {"other": "/elsewhere"}

    def fill() -> None:
        with atomic_replace(path) as part:
            name = str(part) if named == "part" else names.get(named or "")
            raise OSError(errno.ENOSPC, "No space left on device", name)

    with pytest.raises(OSError, match="No space left") as error:
        fill()
    found = "/elsewhere" if named == "other" else str(path)
    assert error.value.filename == found
    assert reason_of(error.value) == f"{found}: No space left on device"
    assert not list(tmp_path.iterdir())


def test_a_full_device_is_named() -> None:
    def fill() -> None:
        with atomic_replace(Path("/dev/full")) as device:
            device.write_bytes(b"x")

    with pytest.raises(OSError, match="No space left") as error:
        fill()
    assert reason_of(error.value) == "/dev/full: No space left on device"


def test_a_reason_without_a_file() -> None:
    assert reason_of(OSError(errno.EIO, "Input/output error")) == "Input/output error"
    assert reason_of(OSError("odd")) == "odd"
