"""Cells that a spreadsheet does not run."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from pubsub_common.measurement.event_details import write_details
from pubsub_common.measurement.latency_file import write_latencies
from pubsub_common.measurement.safe_csv import safe_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain", "plain"),
        ("10.0.0.2:5556", "10.0.0.2:5556"),
        ("a=1+1-2@x", "a=1+1-2@x"),
        ("=1+1|cmd", "'=1+1|cmd"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "'\t'=1"),
        ("\r", "'\r"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=1+1", "a;'=1+1"),
        ("a, =1", "a,' =1"),
        ("", ""),
    ],
)
def test_what_begins_like_a_formula_gets_an_apostrophe(text: str, cell: str) -> None:
    assert safe_cell(text) == cell


def test_files_are_as_ever_unless_they_are_asked_to_be_safe(tmp_path: Path) -> None:
    plain, safe = tmp_path / "plain", tmp_path / "safe"
    rows = [("p:1", "=1+1", -7), ("p:1", "A", 1_000_000)]

    write_latencies(plain, rows)
    write_latencies(safe, rows, safe=True)

    assert plain.read_text().splitlines()[1:] == [
        "p:1,=1+1,-0.000000007",
        "p:1,A,0.001000000",
    ]
    assert safe.read_text() == plain.read_text().replace(",=1", ",'=1")


def test_details_are_as_ever_unless_they_are_asked_to_be_safe(tmp_path: Path) -> None:
    found = []
    for safe in (False, True):
        write_details(tmp_path / "d", ("topic", "ns"), [("=1", -7)], safe=safe)
        with gzip.open(tmp_path / "d", "rt", newline="") as file:
            found.append(list(csv.reader(file))[1])

    assert found == [["=1", "-7"], ["'=1", "-7"]]
