"""Sweep folders, read back: layouts, files of others, and data that is not right."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.measurement.latency_file import write_latencies
from pubsub_perf.results.cells import Cell, SubscriberData
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.latency_file_reader import read_latencies
from pubsub_perf.results.table_form import TableRefused

HEADER = "publisher,topic,latency_seconds\n"
ROW = "10.0.0.2:5556,A,0.0005\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_cell(folder: Path, **fields: Any) -> None:
    write(folder / "cell.json", json.dumps({"format": 1} | fields))


def read_text(tmp_path: Path, text: str) -> SubscriberData:
    return read_latencies(write(tmp_path / "subscriber-0.csv", text))


def only_cell(folder: Path) -> Cell:
    (cell,) = read_dataset(folder).cells
    return cell


def faults(data: SubscriberData) -> dict[str, tuple[int, int]]:
    return {fault.fault: (fault.rows, fault.first_line) for fault in data.faults}


# One file.


def test_a_file_of_a_subscriber_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "subscriber-12.csv"
    write_latencies(
        path,
        [
            ("10.0.0.2:5556", "A", 514_312),
            ("10.0.0.3:5556", 'a "quoted", topic', 1),
            ("10.0.0.2:5556", "A", -7),
        ],
    )
    data = read_latencies(path)
    assert data.latencies.tolist() == [0.000514312, 1e-9, -7e-9]
    assert data.publishers == ("10.0.0.2:5556", "10.0.0.3:5556")
    assert data.topics == ("A", 'a "quoted", topic')
    assert (data.name, data.index, data.rows) == ("subscriber-12", 12, 3)
    assert data.not_positive == 1
    assert data.problems() == ["1 value of 0 s or less: kept"]


@pytest.mark.parametrize(
    "first", ["", HEADER, "pub_ip,topic,delta\n", "\ufeff" + HEADER, "\n" + HEADER]
)
def test_the_header_may_be_missing_or_another(tmp_path: Path, first: str) -> None:
    data = read_text(tmp_path, first + ROW + ROW)
    assert data.latencies.tolist() == [0.0005, 0.0005]


def test_a_broken_first_event_is_not_a_header(tmp_path: Path) -> None:
    data = read_text(tmp_path, "10.0.0.2:5556,A,oops\n" + ROW)
    assert faults(data) == {"broken row": (1, 1)}
    assert data.header is None


def test_rows_without_a_latency_are_counted_by_fault(tmp_path: Path) -> None:
    rows = [
        "10.0.0.2:5556,A,nan\n",  # line 3
        "\n",
        "10.0.0.2:5556,A,\n",
        "10.0.0.2:5556,A\n",
        "10.0.0.2:5556,A,NaN\n",
        "10.0.0.2:5556,A,inf\n",
        "10.0.0.2:5556,A,1_0\n",
        "10.0.0.2:5556,A,0.0",  # cut off, yet a number
    ]
    data = read_text(tmp_path, HEADER + ROW + "".join(rows))
    assert faults(data) == {
        "NaN": (2, 3),
        "blank row": (1, 4),
        "row without latency": (1, 5),
        "broken row": (2, 6),
        "infinity": (1, 8),
    }
    assert data.latencies.tolist() == [0.0005, 0.0]
    assert data.rows == 8
    assert data.problems()[0] == (
        "2 NaNs (first in line 3), 1 blank row (line 4), 1 row without latency "
        "(line 5), 2 broken rows (first in line 6), 1 infinity (line 8): kept out of "
        "the statistics"
    )


def test_a_stray_quote_breaks_its_own_row_only(tmp_path: Path) -> None:
    data = read_text(tmp_path, HEADER + '10.0.0.2:5556,"A,0.1\n' + ROW * 3)
    assert len(data.latencies) == 3
    assert faults(data) == {"broken row": (1, 2)}


def test_numbers_no_clock_can_make_are_broken(tmp_path: Path) -> None:
    data = read_text(tmp_path, HEADER + "p,A,1e300\np,A,1e9\n")
    assert data.latencies.tolist() == [1e9]
    assert faults(data) == {"broken row": (1, 2)}


@pytest.mark.parametrize("text", ["", HEADER, "\n\n"])
def test_a_file_without_events_says_so(tmp_path: Path, text: str) -> None:
    data = read_text(tmp_path, text)
    assert len(data.latencies) == 0
    assert data.problems()[0] == "holds no events"


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    data = read_latencies(tmp_path / "subscriber-0.csv")
    assert data.problems() == ["cannot be read to its end: No such file or directory"]


latency = st.floats(-1e12, 1e12)
broken = st.sampled_from(["", "nan", "-inf", "x", "1x", "0.1.2", "--1"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(latency, broken)))
def test_every_row_is_a_latency_or_a_counted_fault(
    tmp_path: Path, values: list[float | str]
) -> None:
    text = HEADER + "".join(f"10.0.0.2:5556,A,{value}\n" for value in values)
    data = read_text(tmp_path, text)
    good = [value for value in values if isinstance(value, float)]
    assert data.latencies.tolist() == good
    assert data.rows == len(values)
    assert sum(fault.rows for fault in data.faults) == len(values) - len(good)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_no_bytes_make_reading_fail(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "subscriber-0.csv"
    path.write_bytes(content)
    with contextlib.suppress(TableRefused):
        assert np.isfinite(read_latencies(path).latencies).all()


# Layouts of folders.


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for model in ("centralized", "decentralized"):
        for network in ("tree-d3f2-8hosts", "single-switch-16hosts"):
            for index in (0, 2, 10):
                write(
                    tmp_path / "data" / model / network / f"subscriber-{index}.csv",
                    HEADER + ROW * (index + 1),
                )
    return tmp_path


def test_a_sweep_is_its_cells_in_order(sweep: Path) -> None:
    dataset = read_dataset(sweep)
    assert dataset.problems == ()
    assert [(c.model, c.network, c.kind, c.hosts) for c in dataset.cells] == [
        ("centralized", "tree-d3f2-8hosts", "tree", 8),
        ("decentralized", "tree-d3f2-8hosts", "tree", 8),
        ("centralized", "single-switch-16hosts", "single-switch", 16),
        ("decentralized", "single-switch-16hosts", "single-switch", 16),
    ]
    cell = dataset.cells[0]
    assert [file.index for file in cell.files] == [0, 2, 10]
    assert len(cell.latencies) == 1 + 3 + 11
    assert (cell.received, cell.expected, cell.lost) == (15, None, None)
    assert (cell.publishers, cell.subscribers) == (1, 3)
    assert (cell.outcome, cell.meta) == ("unknown", None)


@pytest.mark.parametrize(
    ("part", "cells"),
    [
        ("data", 4),
        ("data/centralized", 2),
        ("data/centralized/tree-d3f2-8hosts", 1),
    ],
)
def test_any_part_of_a_sweep_can_be_read(sweep: Path, part: str, cells: int) -> None:
    dataset = read_dataset(sweep / part)
    assert len(dataset.cells) == cells
    assert dataset.cells[0].model == "centralized"
    assert dataset.cells[0].network == "tree-d3f2-8hosts"
    assert dataset.problems == ()


def test_a_relative_folder_knows_its_model(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep / "data/decentralized/tree-d3f2-8hosts")
    assert only_cell(Path()).model == "decentralized"


def test_a_plain_folder_of_others_is_one_cell(tmp_path: Path) -> None:
    folder = tmp_path / "my-measurements"
    write(folder / "alice.csv", "ip,topic,delta\n" + ROW)
    write(folder / "bob", ROW)
    write(folder / "README", "Latencies of my network, measured by night.\n")
    write(folder / "notes.txt", ROW)
    write(folder / "diary.txt", "Rain, and more rain.\n")
    write(folder / ".hidden.csv", ROW)
    dataset = read_dataset(folder)
    (cell,) = dataset.cells
    assert (cell.model, cell.network, cell.hosts) == ("data", "my-measurements", None)
    assert [file.name for file in cell.files] == ["alice", "bob"]
    assert dataset.problems == (
        "README: is left out: it has no latencies",
        "notes.txt: is left out: it looks like a table; rename it to .csv or .tsv "
        "to read it",
    )


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("subscriber-0.csv", "publisher,topic,total_time_seconds\n"),
        ("subscriber-0", ""),
    ],
)
def test_files_of_the_seed_are_read_as_they_are(
    tmp_path: Path, name: str, header: str
) -> None:
    rows = "10.0.0.4:5556,C,0.00152587890625\n10.0.0.3:5556,A,0.0013439655303955078\n\n"
    for network in ("tree-d3f2-8hosts", "singleswitch-9-hosts"):
        write(tmp_path / "data/centralized" / network / name, header + rows)
    dataset = read_dataset(tmp_path)
    assert [(c.kind, c.hosts, c.received, c.publishers) for c in dataset.cells] == [
        ("tree", 8, 2, 2),
        ("singleswitch", 9, 2, 2),
    ]
    assert dataset.cells[0].latencies.tolist() == [
        0.00152587890625,
        0.0013439655303955078,
    ]


def test_folders_of_models_alone_are_compared(tmp_path: Path) -> None:
    write(tmp_path / "run7" / "centralized" / "a.csv", ROW)
    write(tmp_path / "run7" / "decentralized" / "a.csv", ROW)
    cells = read_dataset(tmp_path / "run7").cells
    assert [(c.model, c.network) for c in cells] == [
        ("centralized", "run7"),
        ("decentralized", "run7"),
    ]


def test_repetitions_of_a_network_are_told_apart(tmp_path: Path) -> None:
    for run in ("run1", "run2"):
        for model in ("centralized", "decentralized"):
            folder = tmp_path / run / "data" / model / "tree-d2f2-4hosts"
            write(folder / "subscriber-0.csv", ROW)
    cells = read_dataset(tmp_path).cells
    assert [(c.network, c.model) for c in cells] == [
        ("run1/tree-d2f2-4hosts", "centralized"),
        ("run1/tree-d2f2-4hosts", "decentralized"),
        ("run2/tree-d2f2-4hosts", "centralized"),
        ("run2/tree-d2f2-4hosts", "decentralized"),
    ]
    assert {c.hosts for c in cells} == {4}


def test_logs_beside_the_data_are_left_alone(sweep: Path) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    write_cell(folder)
    write(folder / "logs" / "broker", ROW)
    assert len(read_dataset(folder).cells) == 1


def test_an_empty_network_folder_is_a_problem(sweep: Path) -> None:
    (sweep / "data/centralized/linear-4hosts").mkdir()
    assert read_dataset(sweep).problems == (
        "data/centralized/linear-4hosts: neither latency files nor cell.json",
    )


def test_cells_of_a_network_are_neighbours(sweep: Path) -> None:
    write_cell(
        sweep / "data/centralized/tree-d3f2-8hosts",
        topology={"hosts": 99},
    )
    networks = [cell.network for cell in read_dataset(sweep).cells]
    assert networks == ["tree-d3f2-8hosts"] * 2 + ["single-switch-16hosts"] * 2


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to plot: .*/gone does not exist$"):
        read_dataset(tmp_path / "gone")
    with pytest.raises(
        ConfigError, match=r"nothing to plot: .*/a\.csv is neither a folder nor a pack"
    ):
        read_dataset(write(tmp_path / "a.csv", ROW))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"nothing to plot: no latency files \(CSV\)"):
        read_dataset(tmp_path / "empty")


def test_only_failed_cells_are_nothing_to_plot_and_say_why(tmp_path: Path) -> None:
    for network in ("a-4hosts", "b-4hosts"):
        folder = tmp_path / "data/centralized" / network
        write_cell(folder, outcome="failed", reason="no route from h2 to h1")
    with pytest.raises(
        ConfigError,
        match=r"in any of 2 cells in .*; centralized/a-4hosts: failed, no route from",
    ):
        read_dataset(tmp_path)


# cell.json.


def test_cell_json_says_what_ran(tmp_path: Path) -> None:
    folder = tmp_path / "data/centralized/mesh"
    write(folder / "subscriber-0.csv", HEADER + ROW * 396)
    write_cell(
        folder,
        topology={"kind": "ring", "hosts": 8},
        hosts={"publishers": ["10.0.0.2"] * 4, "subscribers": ["10.0.0.6"]},
        outcome="ok",
        expected=400,
        received=396,
        lost=4,
        fidelity={"verdict": "Strained", "reason": "CPU pressure 31 %"},
    )
    cell = only_cell(tmp_path)
    assert (cell.kind, cell.hosts) == ("ring", 8)
    assert (cell.publishers, cell.subscribers) == (4, 1)
    assert (cell.expected, cell.received, cell.lost) == (400, 396, 4)
    assert (cell.outcome, cell.failed) == ("ok", False)
    assert (cell.fidelity, cell.degraded) == ("strained", True)
    assert cell.fidelity_reason == "CPU pressure 31 %"
    assert read_dataset(tmp_path).problems == ()


@pytest.mark.parametrize(
    ("fidelity", "degraded"),
    [("saturated", True), ("ok", False), (None, False), (7, False)],
)
def test_a_fidelity_verdict_may_be_plain_text(
    sweep: Path, fidelity: object, degraded: bool
) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    write_cell(folder, fidelity=fidelity)
    assert only_cell(folder).degraded is degraded


def test_a_failed_cell_without_files_stays_in_the_dataset(sweep: Path) -> None:
    folder = sweep / "data/centralized/linear-4hosts"
    write_cell(folder, outcome="failed", reason="the broker died", expected=50)
    cell = read_dataset(sweep).cells[0]
    assert (cell.network, cell.failed, cell.reason) == (
        "linear-4hosts",
        True,
        "the broker died",
    )
    assert (cell.received, cell.lost, cell.publishers) == (0, 50, None)
    assert len(cell.latencies) == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{broken", "is not JSON, and is ignored: "),
        ("[" * 100_000, "is not JSON, and is ignored: "),
        ("[1]", "holds no JSON object, and is ignored"),
        ("{}", "is of format None, not 1: read as far as understood"),
        ('{"format": 2}', "is of format 2, not 1: read as far as understood"),
    ],
)
def test_a_broken_cell_json_is_reported(
    sweep: Path, content: str, problem: str
) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    write(folder / "cell.json", content)
    dataset = read_dataset(sweep)
    assert len(dataset.cells) == 4
    (found,) = dataset.problems
    assert found.startswith(f"data/centralized/tree-d3f2-8hosts/cell.json {problem}")


def test_bytes_that_are_no_text_are_a_broken_cell_json(sweep: Path) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    (folder / "cell.json").write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in read_dataset(sweep).problems[0]


def test_contradictions_are_reported(sweep: Path) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    write_cell(
        folder,
        model="decentralized",
        network="tree-d2f2-4hosts",
        hosts={"subscribers": ["a", "b", "c", "d", "e"]},
        expected=20,
        received=16,
        lost=3,
    )
    write(folder / "subscriber-0", ROW)
    problems = read_dataset(folder).problems
    assert problems == (
        ".: has more than one file of subscriber 0; all are counted",
        ".: cell.json says model 'decentralized'; the folder's name 'centralized' is "
        "used",
        ".: cell.json says network 'tree-d2f2-4hosts'; the folder's name "
        "'tree-d3f2-8hosts' is used",
        ".: in cell.json, 20 expected and 16 received do not make 3 lost",
        ".: the files of 1 of 5 subscribers are missing",
    )


def test_events_that_cell_json_does_not_know_are_reported(sweep: Path) -> None:
    folder = sweep / "data/centralized/tree-d3f2-8hosts"
    write_cell(folder, received=400)
    assert read_dataset(folder).problems == (
        ".: cell.json says 400 received; the files hold 15 events",
    )


def test_names_that_cannot_be_shown_are_made_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines\x1b[31m"
    write(folder / "subscriber-0.csv", "")
    write(folder / "subscriber-1.csv", ROW)
    dataset = read_dataset(tmp_path)
    assert dataset.cells[0].network == r"two\nlines\x1b[31m"
    assert dataset.problems == (
        r"two\nlines\x1b[31m/subscriber-0.csv: holds no events",
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
FIELDS = (
    "topology",
    "hosts",
    "outcome",
    "reason",
    "expected",
    "received",
    "lost",
    "fidelity",
    "model",
    "subscribers",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_fields_of_any_type_do_not_make_reading_fail(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    folder = tmp_path / "tree-d2f2-4hosts"
    write(folder / "subscriber-0.csv", ROW)
    write_cell(folder, **fields)
    cell = only_cell(folder)
    assert cell.received >= 0
    assert cell.lost is None or cell.lost >= 0
    assert cell.hosts is None or cell.hosts > 0
    assert not math.isnan(cell.latencies.sum())
