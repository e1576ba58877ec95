"""A folder that is not a sweep is not read as a whole without --yes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.cli import main
from pubsub_perf.results import folder_extent
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.table_source import TableSource

ROW = "10.0.0.2:5556,A,0.0005\n"


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"subscriber-{index}.csv").write_text(ROW)


def test_many_files_that_are_no_sweep_are_not_read_unasked(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "b", 150)
    fill(tmp_path / "c", 51)
    with pytest.raises(ConfigError) as error:
        read_dataset(tmp_path)
    assert str(error.value) == (
        f"nothing to plot yet: {tmp_path} is not a sweep, and has more than 200 files that "
        "may hold latencies (201 so far, in 2 folders, the first one is "
        "c/subscriber-0.csv); --yes reads it anyway"
    )
    assert len(read_dataset(tmp_path, source=TableSource(many=True)).cells) == 2


def test_so_many_files_are_read(tmp_path: Path) -> None:
    fill(tmp_path, 200)
    (tmp_path / "notes.txt").touch()
    assert len(read_dataset(tmp_path).cells[0].files) == 200


@pytest.mark.parametrize("start", [".", "data", "data/centralized"])
def test_a_sweep_may_have_any_number_of_files(tmp_path: Path, start: str) -> None:
    fill(tmp_path / "data/centralized/tree-d4f4-256hosts", 127)
    fill(tmp_path / "data/centralized/tree-d4f3-81hosts/run-2", 80)
    assert len(read_dataset(tmp_path / start).cells) == 2


def test_a_folder_with_records_is_a_sweep(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fill(tmp_path / name, 101)
        (tmp_path / name / "cell.json").write_text('{"format": 1}')
    assert len(read_dataset(tmp_path).cells) == 2


def test_a_walk_ends_at_so_many_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_extent, "MAX_NAMES", 20)
    for index in range(21):
        (tmp_path / f"{index}.txt").touch()
    with pytest.raises(
        ConfigError, match=r"more than 20 files and folders \(21 so far"
    ):
        read_dataset(tmp_path)


@pytest.mark.parametrize("command", ["plot", "analyze"])
def test_nothing_is_written_where_nothing_was_read(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, 201)
    assert main([command, str(tmp_path)]) == 2
    assert len(list(tmp_path.iterdir())) == 201
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("; --yes reads it anyway")
