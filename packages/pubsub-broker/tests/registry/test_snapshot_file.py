"""The state file: read once, written completely or not at all, and never blocking."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.broker_parts import parts_of
from support.leftovers import Leftovers

from pubsub_broker import Broker
from pubsub_broker.registry import snapshot_file
from pubsub_broker.registry.snapshot import (
    Snapshot,
    SnapshotClient,
    decode_snapshot,
    encode_snapshot,
)
from pubsub_broker.registry.snapshot_file import SnapshotFile, StateInUse, free_name
from pubsub_common.errors import CannotListen, ConfigError
from pubsub_common.protocol.messages import Status, StatusRequest
from pubsub_common.testing import wait_for

WAIT_S = 60
HOST = "127.0.0.1"


def snapshot(*sessions: int) -> Snapshot:
    return Snapshot(
        written_ns=time.time_ns(),
        clients=[
            SnapshotClient(
                role="subscriber", session=session, address="10.0.0.2", topics=["A"]
            )
            for session in sessions
        ],
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.state"


@pytest.fixture
def open_file(path: Path) -> Iterator[Callable[..., SnapshotFile]]:
    opened: list[SnapshotFile] = []

    def run(interval_s: float = 1.0) -> SnapshotFile:
        opened.append(SnapshotFile(path, time.monotonic, interval_s=interval_s))
        opened[-1].start()
        return opened[-1]

    yield run
    for file in opened:
        file.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_was_saved_is_loaded(path: Path) -> None:
    file = SnapshotFile(path, time.monotonic)
    assert file.load() is None
    saved = snapshot(1, 2)
    file.start()
    file.save(encode_snapshot(saved))
    file.close()

    assert SnapshotFile(path, time.monotonic).load() == saved
    assert list(path.parent.iterdir()) == [path]


def test_the_last_one_is_written_when_it_ends(
    path: Path, open_file: Callable[..., SnapshotFile]
) -> None:
    file = open_file()
    for number in range(100):
        file.save(encode_snapshot(snapshot(number)))
    file.close()

    assert [item.session for item in decode_snapshot(path.read_bytes()).clients] == [99]


def test_a_flood_of_changes_is_not_a_flood_of_writes(
    monkeypatch: pytest.MonkeyPatch, open_file: Callable[..., SnapshotFile]
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(
        SnapshotFile, "_write", lambda _self, data: written.append(data)
    )
    file = open_file(interval_s=3600.0)
    file.save(b"first")
    wait_for(lambda: written)
    for number in range(1000):
        file.save(b"%d" % number)
    file.close()

    assert written == [b"first", b"999"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "not a broker state file"),
        (encode_snapshot(snapshot(1))[:-20], "cut off"),
        (encode_snapshot(snapshot(1)).replace(b"10.0.0.2", b"10.0.0.3"), "checksum"),
    ],
    ids=["empty", "foreign", "truncated", "changed"],
)
def test_a_damaged_file_is_set_aside_with_one_message(
    path: Path, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)

    assert SnapshotFile(path, time.monotonic).load() is None

    [said] = errors(caplog)
    assert str(path) in said
    assert reason in said
    assert "broker.state.damaged" in said
    assert not path.exists()
    assert path.with_name("broker.state.damaged").read_bytes() == content


def test_damaged_files_are_numbered(path: Path) -> None:
    for number in range(3):
        path.write_bytes(b"damaged %d" % number)
        SnapshotFile(path, time.monotonic).load()

    assert (path.parent / "broker.state.damaged").read_bytes() == b"damaged 0"
    assert (path.parent / "broker.state.damaged.1").read_bytes() == b"damaged 1"
    assert (path.parent / "broker.state.damaged.2").read_bytes() == b"damaged 2"
    assert free_name(path).name == "broker.state.damaged.3"


def test_a_file_that_cannot_be_read_is_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(encode_snapshot(snapshot(1)))
    file = SnapshotFile(path, time.monotonic)

    def fail(_path: Path, _most: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(snapshot_file, "read_file", fail)

    assert file.load() is None
    assert "it cannot be read: Permission denied" in errors(caplog)[0]
    assert path.with_name("broker.state.damaged").exists()


@pytest.mark.parametrize("name", ["missing/state", ".", "file/state"])
def test_a_place_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot"):
        SnapshotFile(tmp_path / name, time.monotonic)


def test_a_device_cannot_hold_state() -> None:
    with pytest.raises(ConfigError, match="it is not a file"):
        SnapshotFile("/dev/null", time.monotonic)


def test_a_folder_where_nothing_can_be_made_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", fail)

    with pytest.raises(ConfigError, match="Read-only file system"):
        SnapshotFile(path, time.monotonic)


def test_a_full_disk_is_said_once_and_harms_nothing(
    path: Path,
    open_file: Callable[..., SnapshotFile],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = encode_snapshot(snapshot(1))
    path.write_bytes(before)
    tries: list[int] = []
    write_bytes = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        write_bytes(self, data[:10])
        tries.append(len(data))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fail)
        file = open_file(interval_s=0.0)
        for number in range(5):
            file.save(encode_snapshot(snapshot(number)))
            wait_for(lambda: len(tries) > number)  # noqa: B023
        wait_for(lambda: errors(caplog))
        file.save(before)
        wait_for(lambda: len(tries) > 5)

    [said] = errors(caplog)
    assert "No space left on device" in said
    assert path.read_bytes() == before
    file.save(encode_snapshot(snapshot(7)))
    file.close()
    assert decode_snapshot(path.read_bytes()).clients[0].session == 7
    assert list(path.parent.iterdir()) == [path]


# In a broker


def expected_by(broker: Broker) -> list[int]:
    status = parts_of(broker).core.status(StatusRequest(id=1), time.monotonic())
    assert isinstance(status, Status)
    return [client.session for client in status.expected]


def test_a_broker_lists_expected_clients_and_keeps_them(path: Path) -> None:
    path.write_bytes(encode_snapshot(snapshot(5, 6)))

    for _ in range(3):
        with Broker(indefinite=True, bind=HOST, port=0, state=path) as broker:
            assert expected_by(broker) == [5, 6]
        assert len(decode_snapshot(path.read_bytes()).clients) == 2


def test_a_broker_starts_with_a_damaged_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"damaged")

    with Broker(indefinite=True, bind=HOST, port=0, state=path) as broker:
        assert expected_by(broker) == []

    assert len(errors(caplog)) == 1
    assert decode_snapshot(path.read_bytes()).clients == []


def test_a_broker_that_cannot_start_leaves_the_file_alone(path: Path) -> None:
    before = encode_snapshot(snapshot(5))
    path.write_bytes(before)
    left = Leftovers()
    with Broker(bind=HOST, port=0) as first:
        other = Broker(bind=HOST, port=first.port, state=path)
        with pytest.raises(CannotListen, match="cannot listen"):
            other.configure()

    assert path.read_bytes() == before
    assert "broker-state" not in left.threads()


def test_clients_that_do_not_reconnect_are_named_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(encode_snapshot(snapshot(5, 6)))
    monkeypatch.setattr("pubsub_broker.registry.snapshot.EXPECTED_MARGIN_S", 0.0)

    options: dict[str, Any] = {"lease_s": 0.05, "state": path}
    with Broker(indefinite=True, bind=HOST, port=0, **options) as broker:
        deadline = time.monotonic() + WAIT_S
        while expected_by(broker):
            broker.parse_events(0)
            assert time.monotonic() < deadline

    [said] = errors(caplog)
    assert said == (
        "2 clients known before the restart did not reconnect: "
        "subscriber 10.0.0.2, subscriber 10.0.0.2"
    )
    assert decode_snapshot(path.read_bytes()).clients == []


def test_a_second_broker_with_the_same_file_is_refused(path: Path) -> None:
    with Broker(indefinite=True, port=0, state=path):
        second = Broker(indefinite=True, port=0, state=path)
        with pytest.raises(StateInUse, match="another broker uses this file"):
            second.configure()
        second.disconnect()
        assert not list(path.parent.glob("*.damaged*"))

    with Broker(indefinite=True, port=0, state=path):
        pass


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0o666)

    with Broker(indefinite=True, port=0, state=path):
        pass

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_too_large_is_set_aside_without_being_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with path.open("wb") as sparse:
        sparse.truncate(2**40)

    with Broker(indefinite=True, port=0, state=path):
        assert "it is too large" in caplog.text


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.symlink_to(path)

    with pytest.raises(ConfigError, match="circular links"):
        Broker(indefinite=True, port=0, state=path).configure()
