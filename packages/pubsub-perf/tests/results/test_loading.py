"""Results as tables, and as files of tables."""

from __future__ import annotations

import csv
import gc
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.perf_sweeps import WARMUP, write_sweep

import pubsub_perf
from pubsub_common.errors import ConfigError
from pubsub_perf.cli import main
from pubsub_perf.plan.topologies import single_switch
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.loading import Results, load
from pubsub_perf.results.packs import pack
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.tables import CELL_COLUMNS, EVENT_COLUMNS, RUN_COLUMNS

ROWS = "publisher,topic,latency_seconds\n10.0.0.2:5556,A,0.0005\n10.0.0.3:5556,B,0.25\n"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "sweep"
    networks = [single_switch(5), single_switch(9)]
    return write_sweep(folder, networks, runs=2, events=40, lose=1)


@pytest.fixture(scope="module")
def results(sweep: Path) -> Results:
    return pubsub_perf.load(sweep)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cells_are_those_of_the_report(sweep: Path, results: Results) -> None:
    cells = results.cells
    summaries = [summary_of(cell) for cell in read_dataset(sweep).cells]
    assert cells.rows == len(summaries) == 4
    assert cells["p50_s"].tolist() == [m.statistics.p50_s for m in summaries]
    assert cells["p99_s"].tolist() == [m.statistics.p99_s for m in summaries]
    assert cells["warmup"].tolist() == [m.warmup for m in summaries]
    assert cells["lost"].tolist() == [2, 2, 2, 2]
    assert cells["hosts"].tolist() == [5, 5, 9, 9]
    assert cells["runs"].dtype == np.int64


def test_a_run_is_a_row_with_its_parameters(results: Results) -> None:
    runs = results.runs
    assert runs.rows == 8
    assert runs["run"].tolist() == [1, 2] * 4
    assert runs["parameters_payload_bytes"].tolist() == [64] * 8
    assert runs["parameters_bandwidth_mbit"].dtype == np.float64
    assert np.isnan(runs["parameters_delay_ms"]).all()


def test_events_are_those_of_the_files(sweep: Path, results: Results) -> None:
    events = results.events()
    every = [cell.latencies for cell in read_dataset(sweep).cells]
    assert np.array_equal(events["latency_s"], np.concatenate(every))
    assert np.array_equal(events["warmup"], events["sequence"] < WARMUP)
    took_ns = events["received_ns"] - events["published_ns"]
    assert np.allclose(took_ns / 1e9, events["latency_s"], rtol=0, atol=1e-9)


def test_the_statistics_follow_from_the_events(results: Results) -> None:
    for row in range(results.runs.rows):
        key = {name: results.runs[name][row] for name in ("model", "network", "run")}
        events = results.events(**key).where(warmup=False)
        ordered = np.sort(events["latency_s"])
        assert len(ordered) == results.runs["count"][row]
        middle = ordered[-(-len(ordered) // 2) - 1]
        assert middle == results.runs["p50_s"][row]


def test_columns_are_as_they_are_told(results: Results) -> None:
    for table, told in (
        (results.cells, CELL_COLUMNS),
        (results.runs, RUN_COLUMNS),
        (results.events(), EVENT_COLUMNS),
    ):
        fixed = [name for name in table if not name.startswith("parameters_")]
        assert fixed == [c.name for c in told if c.name != "parameters_*"]
        assert {len(column) for column in table.values()} == {table.rows}


def test_rows_are_chosen_by_value_or_values(results: Results) -> None:
    runs = results.runs
    assert runs.where(model="centralized", run=2).rows == 2
    assert runs.where(hosts=[5, 9], run=(1, 2)).rows == 8
    assert runs.where(network="none").rows == 0
    events = results.events(network="none")
    assert events.rows == 0
    assert events["latency_s"].dtype == np.float64
    with pytest.raises(ConfigError, match="no column 'modle'; there are scenario, "):
        results.events(modle="centralized")


def test_columns_are_chosen_by_name(results: Results) -> None:
    assert list(results.runs.select("run", "model")) == ["run", "model"]
    with pytest.raises(ConfigError, match="no column 'p5'; there are scenario, "):
        results.runs.select("p5")


def test_rows_are_chosen_by_place(results: Results) -> None:
    runs = results.runs
    assert runs[:2]["run"].tolist() == [1, 2]
    assert runs[runs["hosts"] == 9].rows == 4
    assert runs[np.array([3, 0])]["run"].tolist() == [2, 1]
    assert [part.rows for part in (runs[5:], runs[100:])] == [3, 0]


def test_what_a_table_lacks_is_said(results: Results) -> None:
    with pytest.raises(KeyError, match="no column 'p5'; there are scenario, "):
        results.runs["p5"]
    with pytest.raises(TypeError, match="by name, and rows by a slice or an array: 0"):
        results.runs[0]  # type: ignore[call-overload]
    assert "p5" not in results.runs
    assert results.runs.get("p5") is None


def test_results_are_shown_in_a_line(results: Results) -> None:
    assert repr(results) == (
        "<Results 'sweep': 4 cells, 8 runs, 1 scenario, 0 problems>"
    )


def test_a_pack_is_loaded_and_goes_with_its_results(
    sweep: Path, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = pack(sweep, tmp_path / "p.zip").path
    loaded: Results | None = load(path)
    assert loaded is not None
    assert loaded.name == "sweep"
    for name, column in loaded.events().items():
        assert np.array_equal(column, results.events()[name]), name
    tables = load(path).events_by_run()  # nothing else holds these results
    assert sum(table.rows for table in tables) == results.events().rows
    del loaded, tables
    gc.collect()
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_folder_of_others_has_tables_too(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "seen.csv").write_text(ROWS)
    found = load(str(tmp_path / "mine"))
    assert found.runs["model"].tolist() == ["data"]
    assert np.isnan(found.runs["lost"]).all()
    assert found.runs["started"].tolist() == [""]
    events = found.events()
    assert events["publisher"].tolist() == ["10.0.0.2:5556", "10.0.0.3:5556"]
    assert events["sequence"].tolist() == [-1, -1]


def test_scenarios_of_an_experiment_are_told_apart(tmp_path: Path) -> None:
    names = ("payload-size=64", "payload-size=1024")
    for name in names:
        cell = tmp_path / "mine" / "data" / name / "centralized" / "tree-d2f2-4hosts"
        cell.mkdir(parents=True)
        (cell / "subscriber-0.csv").write_text(ROWS)
        (cell / "cell.json").write_text(json.dumps({"format": 1, "scenario": name}))
    path = pack(tmp_path / "mine").path
    for found in (load(tmp_path / "mine"), load(path)):
        for table in (found.cells, found.runs, found.events()):
            assert set(table["scenario"]) == set(names)
            assert set(table["network"]) == {"tree-d2f2-4hosts"}
        assert found.events(scenario=names[0]).rows == 2


def test_pandas_gets_the_columns(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=made.append))
    results.runs.to_pandas()
    assert made[0].keys() == results.runs.keys()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        results.runs.to_pandas()


def test_a_table_is_shown_in_a_notebook(results: Results) -> None:
    shown = results.events()._repr_html_()
    assert shown.startswith("<table><tr><th>scenario</th>")
    assert shown.count("<tr>") == 11
    assert f"{results.events().rows - 10:,} rows more" in shown
    assert repr(results.cells).startswith(
        "<Table of 4 rows: scenario, model, network, "
    )


def test_csv_files_hold_the_tables(
    sweep: Path, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(sweep), "--csv"]) == 0
    out = sweep.with_name("sweep-export")
    paths = [out / f"{name}.csv" for name in ("cells", "runs", "events")]
    assert capsys.readouterr().out.splitlines() == list(map(str, paths))
    cells, runs, events = map(read_csv, paths)
    assert [float(row["p50_s"]) for row in cells] == results.cells["p50_s"].tolist()
    assert [row["p999_s"] for row in runs] == [""] * 8
    assert [int(row["published_ns"]) for row in events] == results.events()[
        "published_ns"
    ].tolist()
    assert {row["warmup"] for row in events} == {"true", "false"}


def test_what_nobody_recorded_is_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "seen.csv").write_text(ROWS)
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "mine"), "--csv", "--out", str(out)]) == 0
    (run,) = read_csv(out / "runs.csv")
    assert (run["lost"], run["started"], run["received"]) == ("", "", "2")
    assert [row["sequence"] for row in read_csv(out / "events.csv")] == ["", ""]


def test_parquet_files_hold_the_tables(
    sweep: Path, results: Results, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert main(["export", str(sweep), "--parquet", "--out", str(tmp_path)]) == 0
    for name, table in (
        ("cells", results.cells),
        ("runs", results.runs),
        ("events", results.events()),
    ):
        found = parquet.read_table(tmp_path / f"{name}.parquet").to_pydict()
        assert list(found) == list(table)
        for column, values in table.items():
            expected = [None if v != v else v for v in values.tolist()]
            assert found[column] == expected, column


def test_parquet_without_pyarrow_says_what_to_install(
    sweep: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "out"
    assert main(["export", str(sweep), "--parquet", "--out", str(out)]) == 2
    assert "pip install 'pubsub-perf[parquet]'; or use --csv" in capsys.readouterr().err
    assert not out.exists()


def test_nothing_to_load_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to load: .* does not exist"):
        load(tmp_path / "none")
