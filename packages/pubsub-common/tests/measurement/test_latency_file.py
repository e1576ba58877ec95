"""The latency file: its format."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rings import examples

from pubsub_common.measurement.latency_file import (
    HEADER,
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
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=examples(50),
)
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
