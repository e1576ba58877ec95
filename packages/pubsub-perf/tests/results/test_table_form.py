"""Tables of other people: their headers are read, and what they do not tell is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.results.cells import SubscriberData
from pubsub_perf.results.column_names import latency_columns, unit_of
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.latency_file_reader import read_latencies
from pubsub_perf.results.table_form import TableRefused
from pubsub_perf.results.table_source import TableSource

AT = "10.0.0.2:5556"


def read(
    folder: Path, text: str, encoding: str = "utf-8", **source: Any
) -> SubscriberData:
    path = folder / "subscriber-0.csv"
    path.write_bytes(text.encode(encoding))
    return read_latencies(path, source=TableSource(**source))


def refusal(folder: Path, text: str, **source: str) -> str:
    with pytest.raises(TableRefused) as refused:
        read(folder, text, **source)
    return refused.value.reason


# Names of columns.


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("latency", None),
        ("Latency", None),
        ("latency_s", "s"),
        ("latency_seconds", "s"),
        ("latency_ms", "ms"),
        ("latencyMs", "ms"),
        ("Latency (ms)", "ms"),
        ("latency [us]", "us"),
        ("latency_us", "us"),
        ("latency/\u00b5s", "us"),
        ("latency_\u03bcs", "us"),
        ("LATENCY_NS", "ns"),
        ("one_way_latency_ms", "ms"),
        ("e2e latency in milliseconds", "ms"),
        ("delay_ms", "ms"),
        ("delta", None),
        ("total_time_seconds", "s"),
    ],
)
def test_names_of_latencies_and_their_units(name: str, unit: str | None) -> None:
    assert latency_columns(["topic", name, "other"]) == [1]
    assert unit_of(name) == unit


@pytest.mark.parametrize(
    "name",
    [
        *("sent", "received", "size_bytes", "time", "timestamp_ms", "", "ms", "1"),
        *("latency_p99_ms", "mean_latency", "max_latency_us", "latency_error_ns"),
        *("latency_count", "latency_ms_s", "latency_stddev", "jitter_ms", "rtt_ms"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert latency_columns(["topic", name]) == []


def test_a_latency_goes_before_what_is_like_one() -> None:
    assert latency_columns(["delay_ms", "topic", "latency_ms"]) == [2]


# Where the column is, and in which unit.


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("latency_s", "0.002"), ("latency_ms", "2"), ("latency_us", "2e3")),
        *(("latency_ns", "2000000"), ("latency", "0.002")),
    ],
)
def test_a_latency_is_found_wherever_it_is(
    tmp_path: Path, place: int, name: str, value: str
) -> None:
    names, row = ["publisher", "topic", "size_bytes", "seq"], [AT, "A", "64", "7"]
    names.insert(place, name)
    row.insert(place, value)
    data = read(tmp_path, f"{','.join(names)}\n" + f"{','.join(row)}\n" * 3)
    assert data.latencies.tolist() == pytest.approx([0.002] * 3)
    assert (data.publishers, data.topics) == ((AT,), ("A",))
    assert data.faults == ()


def test_a_latency_alone_is_a_table(tmp_path: Path) -> None:
    data = read(tmp_path, "latency_ms\n1.5\n2.5\n")
    assert data.latencies.tolist() == [0.0015, 0.0025]
    assert (data.publishers, data.topics) == ((), ())


def test_columns_are_no_publisher_or_topic_by_their_place(tmp_path: Path) -> None:
    data = read(tmp_path, "time;node;latency_ms\n1;n1;2\n")
    assert (data.publishers, data.topics) == ((), ())


def test_a_latency_without_a_unit_is_in_seconds_and_that_is_said(
    tmp_path: Path,
) -> None:
    data = read(tmp_path, "latency,topic\n0.5,A\n")
    assert data.latencies.tolist() == [0.5]
    assert data.notes == (
        "column 'latency' names no unit, and is read in s; see --unit",
    )


@pytest.mark.parametrize(
    "first",
    [
        "publisher,topic,total_time_seconds\n",
        "publisher,topic,latency\n",
        "pub_ip,topic,delta\n",
        "# publisher,topic,latency_s\n",
        "# measured by night\npublisher,topic,latency_s\n",
        "",
    ],
)
def test_three_columns_are_read_as_subscribers_write_them(
    tmp_path: Path, first: str
) -> None:
    data = read(tmp_path, f"{first}{AT},A,0.25\n")
    assert data.latencies.tolist() == [0.25]
    assert (data.publishers, data.topics, data.notes) == ((AT,), ("A",), ())


# Rejected tables.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "topic,id,sent,received\nA,1,1600000001.1,1600000001.102\n",
            "no column of latencies in its header 'topic,id,sent,received': expected a ",
        ),
        ("topic,id,sent\nA,1,1600000001.1\n", "no column of latencies in its header"),
        (
            "A,1,1600000001.1\n",
            "column '3' has values like 1.6e+09, which cannot be lat",
        ),
        (
            f"{AT},A,64,0.004\n",
            "no header, and 4 columns of data: expected a column lat",
        ),
        (
            "0.004\n",
            "no header, and 1 column of data: expected a column latency, latency",
        ),
        (
            "latency_ms,latency_us\n1,1000\n",
            "'latency_ms' and 'latency_us' are all latencies; --column selects one",
        ),
        (
            "topic,latency\nA,2500000\n",
            "column 'latency' has values like 2.5e+06, which",
        ),
        (
            f"publisher,topic,latency_s\n{AT},A,0,004\n{AT},A,0,005\n",
            "its header names 3 columns and its rows have 4: decimal commas need another",
        ),
        (
            f"{AT},A,0,004\n",
            "no header, and 4 columns of data; are these decimal commas?",
        ),
    ],
)
def test_what_a_table_does_not_tell_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    assert refusal(tmp_path, text).startswith(reason)


@pytest.mark.parametrize(
    "text", ["topic,id,sent\nA,1,0.5\n", f"{AT},A,64,0.004\n", "topic,x\nA,1\n"]
)
def test_a_refusal_says_what_was_expected_and_what_to_do(
    tmp_path: Path, text: str
) -> None:
    reason = refusal(tmp_path, text)
    words = ("latency, latency_s, latency_ms or latency_us", "publisher, topic and sec")
    for word in (*words, "--column", "--unit"):
        assert word in reason
    assert "\n" not in reason


# What somebody says of a table.


def test_a_column_may_be_named_or_numbered(tmp_path: Path) -> None:
    text = "topic,id,sent,took_ms\nA,1,1600000001.1,4\n"
    for column in ("took_ms", "TOOK_MS", "4"):
        data = read(tmp_path, text, column=column)
        assert data.latencies.tolist() == [0.004]
    assert read(tmp_path, f"{AT},A,64,0.5\n", column="4").latencies.tolist() == [0.5]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    assert refusal(tmp_path, "topic,x\nA,1\n", column="y") == (
        "no column 'y': it has topic,x"
    )
    assert refusal(tmp_path, f"{AT},A,64,1\n", column="5") == (
        "no column '5': it has 4 columns without names"
    )


def test_a_unit_may_be_said(tmp_path: Path) -> None:
    data = read(tmp_path, "topic,latency\nA,2500000\n", unit="us")
    assert (data.latencies.tolist(), data.notes) == ([2.5], ())
    data = read(tmp_path, "topic,latency_ms\nA,2500\n", unit="us")
    assert data.latencies.tolist() == [0.0025]
    assert data.notes == ("column 'latency_ms' is read in us, as --unit says",)


def test_a_delimiter_may_be_said(tmp_path: Path) -> None:
    data = read(tmp_path, "topic!latency_ms\nA!1\n", delimiter="!")
    assert data.latencies.tolist() == [0.001]


@pytest.mark.parametrize(
    ("column", "unit", "delimiter", "reason"),
    [
        (None, "hours", None, "--unit hours: not one of s, ms, us, ns"),
        (None, None, "ab", "--delimiter ab: not a single character, nor one of comma"),
        (None, None, '"', '--delimiter ": not a single character, nor one of comma, '),
    ],
)
def test_what_cannot_be_said(
    column: str | None, unit: str | None, delimiter: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError) as error:
        TableSource.of(column, unit, delimiter, many=False)
    assert str(error.value).startswith(reason)


def test_words_for_units_and_delimiters() -> None:
    found = TableSource.of(None, "Milliseconds", "semicolons", many=False)
    assert (found.unit, found.delimiter) == ("ms", ";")
    assert TableSource.of(None, None, "tab", many=False).delimiter == "\t"
    assert TableSource.of(None, None, " ", many=False).delimiter == " "


# Other forms of text.


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            f"publisher;topic;latency_ms\n{AT};A;2,5\n",
            "is read with semicolons between its columns and decimal commas",
        ),
        (
            f"publisher;topic;latency_ms\n{AT};A;2.5\n",
            "is read with semicolons between its columns",
        ),
        (
            f"sep=;\npublisher;topic;latency_ms\n{AT};A;2.5\n",
            "is read with semicolons between its columns",
        ),
        (
            f"publisher\ttopic\tlatency_ms\n{AT}\tA\t2.5\n",
            "is read with tabs between its columns",
        ),
        (f'publisher,topic,latency_ms\n{AT},A,"2,5"\n', "is read with decimal commas"),
        (
            f"{AT};A;0,0025\n",
            "is read with semicolons between its columns and decimal commas",
        ),
        (f"publisher topic latency_ms\n{AT} A 2.5\n", None),
    ],
)
def test_other_separators_are_read_and_named(
    tmp_path: Path, text: str, note: str | None
) -> None:
    data = read(tmp_path, text)
    assert data.latencies.tolist() == [0.0025]
    assert (data.publishers, data.topics) == ((AT,), ("A",))
    assert data.notes == (() if note is None else (note,))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Zeit;Knoten;latency_ms\n0,5;n1;3,125\n0,6;n1;4,5\n", [0.003125, 0.0045]),
        ("Zeit;latency_ms\n0,5;3,125\n", [0.003125]),
        ("Zeit\tx\tlatency_ms\ty\n0,5\t1,5\t3,125\t2,5\n", [0.003125]),
        ("a;b;c,latency_ms\n1;2;3,125\n", [0.125]),
        (f"{AT};n1;3,125\n{AT};n1;4,5\n", [3.125, 4.5]),
        ("0,5;n1;3,125\n", [3.125]),
        (f"{AT},x;y;z,0.5\n", [0.5]),
    ],
)
def test_the_header_tells_the_separator(
    tmp_path: Path, text: str, found: list[float]
) -> None:
    assert read(tmp_path, text).latencies.tolist() == found


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-16", "is read as UTF-16"),
        ("utf-16-le", "is read as UTF-16"),
        ("utf-16-be", "is read as UTF-16"),
        ("utf-32", "is read as UTF-32"),
        ("latin-1", "is not in UTF-8, and is read as Latin-1"),
        ("utf-8-sig", None),
    ],
)
def test_other_encodings_are_read_and_named(
    tmp_path: Path, encoding: str, note: str | None
) -> None:
    text = f"publisher,topic,latency_\u00b5s\n{AT},caf\u00e9,2500\n"
    data = read(tmp_path, text, encoding)
    assert data.latencies.tolist() == [0.0025]
    assert data.topics == ("caf\u00e9",)
    assert data.notes == (() if note is None else (note,))


def test_a_row_that_lacks_the_column_is_broken(tmp_path: Path) -> None:
    data = read(tmp_path, "topic,size,latency_ms\nA,64,1\nA,64\nA,64,\n")
    assert data.latencies.tolist() == [0.001]
    assert [str(fault) for fault in data.faults] == [
        "1 broken row (line 3)",
        "1 row without latency (line 4)",
    ]


# Folders of such tables.


def test_how_files_were_read_is_said_once(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"subscriber-{index}.csv").write_text("topic;latency_ms\nA;1\n")
    (tmp_path / "other.csv").write_text("topic,id,sent,received\nA,1,2,3\n")
    dataset = read_dataset(tmp_path)
    (cell,) = dataset.cells
    assert len(cell.files) == 3
    refused, note = dataset.problems
    assert refused.startswith(
        "other.csv: is left out: no column of latencies in its hea"
    )
    assert note == (
        "subscriber-0: is read with semicolons between its columns (as are 2 more)"
    )


def test_a_folder_of_other_tables_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("topic,id,sent,received\nA,1,2,3\n")
    with pytest.raises(ConfigError) as error:
        read_dataset(tmp_path)
    text = str(error.value)
    assert (
        "; a.csv: is left out: no column of latencies in its header 'topic,id" in text
    )
    assert "\n" not in text
    (cell,) = read_dataset(
        tmp_path, source=TableSource(column="received", unit="s")
    ).cells
    assert cell.latencies.tolist() == [3.0]


@pytest.mark.parametrize("value", ["0.512 ms", '"1,024.5"'])
def test_a_table_without_one_number_says_so(tmp_path: Path, value: str) -> None:
    rows = f"A,{value}\n" * 3
    (tmp_path / "measured.csv").write_text(f"topic,latency_us\n{rows}")
    with pytest.raises(ConfigError) as refused:
        read_dataset(tmp_path)
    assert str(refused.value).endswith(
        "measured.csv: is left out: no row has a number where the latency belongs: "
        "3 broken rows (first in line 2)"
    )


def test_seconds_that_may_be_milliseconds_are_said_to_be_seconds(
    tmp_path: Path,
) -> None:
    data = read(tmp_path, f"publisher,topic,latency\n{AT},A,1.5\n")
    assert data.latencies.tolist() == [1.5]
    assert data.notes == (
        "column 'latency' names no unit, and is read in s; see --unit",
    )
