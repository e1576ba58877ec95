"""Details tables and reports: they can be read back, and are never incomplete."""

from __future__ import annotations

import csv
import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.measurement.event_details import Columns, write_details, write_report

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["10.0.0.1:1", "10.0.0.2:1"]),
        st.sampled_from(["A", "B,\n"]),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-(2**63), 2**63 - 1),
    )
)


@given(ROWS)
def test_columns_give_back_the_rows_in_order(
    rows: list[tuple[str, str, int, int]],
) -> None:
    columns = Columns(2)
    for publisher, topic, first, second in rows:
        columns.add((publisher, topic), first, second)

    assert len(columns) == len(rows)
    assert list(columns.rows()) == rows


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3)])
def test_a_row_has_as_many_numbers_as_there_are_columns(
    numbers: tuple[int, ...],
) -> None:
    with pytest.raises(ValueError, match="zip"):
        Columns(2).add(("A",), *numbers)


def test_a_details_file_is_compressed_csv_with_a_header(tmp_path: Path) -> None:
    target = tmp_path / "details.csv.gz"

    write_details(target, ("topic", "ns"), [("A,B", 1), ("é", -2)])

    with gzip.open(target, "rt", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["topic", "ns"], ["A,B", "1"], ["é", "-2"]]
    assert list(tmp_path.iterdir()) == [target]


def failing_rows() -> Iterator[tuple[str, int]]:
    yield "A", 1
    raise OSError(28, "No space left on device")


def test_a_failure_leaves_the_earlier_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "details.csv.gz"
    target.write_bytes(b"old")

    with pytest.raises(OSError, match="No space"):
        write_details(target, ("topic", "ns"), failing_rows())

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()

    write_details(pipe, ("topic", "ns"), [("A", 1)])

    reader.join(30)
    assert pipe.is_fifo()
    assert gzip.decompress(read[0]) == b"topic,ns\nA,1\n"


def test_a_report_is_json_that_ends_with_a_line_break(tmp_path: Path) -> None:
    target = tmp_path / "report.json"

    write_report(target, {"received": 3, "gaps": [[1, 2]]})

    assert json.loads(target.read_text()) == {"received": 3, "gaps": [[1, 2]]}
    assert target.read_text().endswith("}\n")


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_report(tmp_path / "report.json", {"received": object()})

    assert list(tmp_path.iterdir()) == []


def test_a_nonsensical_number_of_a_peer_costs_no_row() -> None:
    columns = Columns(2)

    columns.add(("A",), 2**64 - 1, 1)
    columns.add(("B",), -(2**64), 2)

    assert list(columns.rows()) == [
        ("A", 2**63 - 1, 1),
        ("B", -(2**63) + 1, 2),
    ]
