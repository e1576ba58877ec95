"""The folder that a cell is measured in, where somebody else has left something."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment import cell_runner
from pubsub_perf.experiment.cell_runner import (
    prepare,
    read_record,
    run_cell,
    write_record,
)
from pubsub_perf.experiment.progress import SweepProgress, print_table
from pubsub_perf.experiment.sweep import cell_folder, run_sweep
from pubsub_perf.folder_files import make_folder
from pubsub_perf.hosts.local import LocalHosts
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Case, Load


def test_what_was_left_there_is_removed_and_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "cell", tmp_path / "victim"
    victim.write_text("mine")
    (folder / "logs").mkdir(parents=True)
    (folder / "subscriber-0.csv").symlink_to(victim)
    (folder / "subscriber-1.csv").symlink_to("absent")
    (folder / "cell.json").symlink_to(victim)
    os.mkfifo(folder / "logs" / "broker.log")

    write_record(folder, {"outcome": "started"})
    logs = prepare(folder)

    assert not (folder / "cell.json").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == [
        "cell.json",
        "events",
        "logs",
        "reports",
    ]
    assert list(logs.iterdir()) == []
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["logs", "events", "reports"])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    folder, elsewhere = tmp_path / "cell", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "broker.log").touch()
    (folder / name).symlink_to(elsewhere)

    with pytest.raises(OSError, match=f"{name} is a link, and nothing is written"):
        prepare(folder)

    assert [path.name for path in elsewhere.iterdir()] == ["broker.log"]


def test_folders_are_made_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "named").symlink_to("sweep")
    made = make_folder(tmp_path / "named", "data", "centralized")
    assert (tmp_path / "sweep" / "data" / "centralized").samefile(made)

    (tmp_path / "sweep" / "data" / "out").symlink_to(tmp_path)
    with pytest.raises(OSError, match="out is a link"):
        make_folder(tmp_path / "sweep", "data", "out", "made")
    assert not (tmp_path / "made").exists()

    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file is not a folder"):
        make_folder(tmp_path, "file")


def test_a_record_elsewhere_is_none(tmp_path: Path) -> None:
    record = {"outcome": "ok"}
    (tmp_path / "cell.json").write_text(json.dumps(record))
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "cell.json").symlink_to("../cell.json")

    assert read_record(tmp_path, tmp_path) == record
    assert read_record(tmp_path / "sweep", tmp_path / "sweep") is None


def test_a_cell_is_marked_before_its_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("centralized", topologies.tree(2, 2), Load())
    write_record(tmp_path, {"outcome": "failed"})
    (tmp_path / "subscriber-0.csv").write_text("of an earlier run")
    seen = []

    def look(folder: Path) -> Path:
        record = read_record(folder, folder)
        seen.append((record or {}).get("outcome"))
        seen.extend(path.name for path in folder.glob("subscriber-*"))
        raise OSError(errno.ENOSPC, "No space left on device", "logs")

    monkeypatch.setattr(cell_runner, "prepare", look)
    record = run_cell(case, LocalHosts(case.network), tmp_path, lambda _: None)

    assert seen == ["started", "subscriber-0.csv"]
    assert record["outcome"] == "failed"
    assert record["reason"] == "logs: No space left on device"
    assert read_record(tmp_path, tmp_path) == record


def test_a_record_that_finds_no_place_gets_that_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("centralized", topologies.tree(2, 2), Load())
    write = write_record

    def on_a_full_disk(folder: Path, record: dict[str, Any]) -> None:
        if (folder / "subscriber-0.csv").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, record)

    def experiment(case: Case, hosts: object, folder: Path, *_: object) -> None:
        (folder / "subscriber-0.csv").write_text("publisher,topic,latency_seconds\n")

    monkeypatch.setattr(cell_runner, "write_record", on_a_full_disk)
    monkeypatch.setattr(cell_runner, "run_experiment", experiment)
    record = run_cell(case, LocalHosts(case.network), tmp_path, lambda _: None)

    assert record["outcome"] == "failed"
    assert record["reason"] == f"{tmp_path / 'cell.json'}: No space left on device"
    assert read_record(tmp_path, tmp_path) == record
    assert not list(tmp_path.glob("subscriber-*"))


HOSTILE = ["\x1b[2J\nforged", ["x"], {"x": 1}, -1, None, 1e300]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_cell_of_somebody_else_is_told_of_without_harm(
    tmp_path: Path, hostile: object
) -> None:
    case = Case("centralized", topologies.tree(2, 2), Load())
    folder = make_folder(tmp_path, *cell_folder(tmp_path, case).parts[-3:])
    names = ("model", "network", "received", "lost", "expected", "duration_s")
    record = dict.fromkeys(names, hostile)
    record |= {"outcome": "ok", "hosts": {"kind": "local"}}
    write_record(folder, record | {"parameters": case.parameters()})
    said = io.StringIO()
    console = Console(file=said, width=100)

    with SweepProgress([case], console) as progress:
        results = run_sweep([case], "local", tmp_path, progress)
    print_table(console, results, tmp_path)

    assert "done before" in said.getvalue()
    assert "forged" not in said.getvalue()


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", ["parameters", "hosts"])
def test_a_cell_that_makes_no_sense_is_of_another_sweep(
    tmp_path: Path, name: str, hostile: object
) -> None:
    case = Case("centralized", topologies.tree(2, 2), Load())
    folder = make_folder(tmp_path, *cell_folder(tmp_path, case).parts[-3:])
    write_record(folder, {"outcome": "ok", name: hostile})
    progress = SweepProgress([case], Console(file=io.StringIO()))

    with pytest.raises(ConfigError, match="is a finished cell of another sweep"):
        run_sweep([case], "local", tmp_path, progress)
