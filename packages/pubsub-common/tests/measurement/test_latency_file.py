"""The latency file: its form, and that there is never half of one."""

from __future__ import annotations

import csv
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.measurement.latency_file import (
    HEADER,
    check_writable,
    write_latencies,
)

ROWS = st.lists(
    st.tuples(
        st.just("10.0.0.2:5556"),
        st.text(
            st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
        ),
        st.integers(-(2**50), 2**50),
    ),
    max_size=10,
)


def test_the_file_has_a_header_and_one_row_per_event(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"

    write_latencies(
        target, [("10.0.0.2:5556", "A", 514_312), ("10.0.0.3:5556", "B", -1)]
    )

    assert target.read_bytes() == (
        b"publisher,topic,latency_seconds\n"
        b"10.0.0.2:5556,A,0.000514312\n"
        b"10.0.0.3:5556,B,-0.000000001\n"
    )


def test_without_events_there_is_only_the_header(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"

    write_latencies(target, [])

    assert target.read_text() == ",".join(HEADER) + "\n"


@given(ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_whatever_a_topic_holds_a_csv_reader_finds_the_rows(
    tmp_path: Path, rows: list[tuple[str, str, int]]
) -> None:
    target = tmp_path / "latencies.csv"

    write_latencies(target, rows)

    with target.open(newline="", encoding="utf-8") as file:
        header, *found = csv.reader(file)
    assert tuple(header) == HEADER
    assert [
        (publisher, topic, round(float(seconds) * 1e9))
        for publisher, topic, seconds in found
    ] == rows


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"
    target.write_text("old\n" * 100)

    write_latencies(target, [("p", "A", 1)])

    assert target.read_text().splitlines() == [",".join(HEADER), "p,A,0.000000001"]


def failing_rows() -> Iterator[tuple[str, str, int]]:
    yield "p", "A", 1
    raise OSError(28, "No space left on device")


def test_a_failure_leaves_the_earlier_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"
    target.write_text("old\n")

    with pytest.raises(OSError, match="No space"):
        write_latencies(target, failing_rows())

    assert target.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_success_leaves_no_other_file(tmp_path: Path) -> None:
    target = tmp_path / "latencies.csv"

    write_latencies(target, [])

    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    check_writable(str(pipe))
    write_latencies(pipe, [("p", "A", 1)])

    reader.join(30)
    assert pipe.is_fifo()
    assert read == [",".join(HEADER) + "\np,A,0.000000001\n"]


def test_a_link_is_followed_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "latencies.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(target)

    check_writable(str(link))
    write_latencies(link, [])
    write_latencies(link, [("p", "A", 1)])

    assert link.is_symlink()
    assert target.read_text().endswith("p,A,0.000000001\n")
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


def test_a_folder_is_no_file(tmp_path: Path) -> None:
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
