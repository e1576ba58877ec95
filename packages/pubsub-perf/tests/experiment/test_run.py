"""``pubsub-perf run``: experiments of files, with real roles on local hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.scenarios import scenarios

EXPERIMENT = """\
# Kept word for word.
thresholds = ["lost = 0", "p50_ms < 10000"]

[parameters]
topology = "single-switch-4"
model = "centralized"
events = 6
rate = 50
warmup = 1
queue-limit = 50
payload-size = [64, 1024]
"""


def run(
    *words: object, folder: Path, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pubsub_perf", "run", *map(str, words)]
    env = os.environ if path is None else {**os.environ, "PATH": path}
    return subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write(folder: Path, text: str = EXPERIMENT) -> Path:
    path = folder / "payloads.toml"
    path.write_text(text)
    return path


def test_an_experiment_leaves_its_scenarios_and_a_copy(tmp_path: Path) -> None:
    file = write(tmp_path)
    done = run(file.name, "--hosts=local", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "sweeps" / "payloads"
    assert (out / "experiment.toml").read_text() == EXPERIMENT
    cells = read_dataset(out).cells
    assert [cell.scenario for cell in cells] == ["payload-size=1024", "payload-size=64"]
    for cell in cells:
        place = f"data/{cell.scenario}/centralized/single-switch-4hosts"
        record = json.loads((out / place / "cell.json").read_text())
        assert record["scenario"] == cell.scenario
        assert f"payload-size={record['parameters']['payload_bytes']}" == cell.scenario
        assert record["parameters"]["interval_s"] == 0.02
        assert "--queue-limit" in record["commands"]["broker"]
        assert (record["received"], record["lost"]) == (2 * 7, 0)
    both = scenarios(read_dataset(out))
    assert [each.scenario for each in both] == ["payload-size=64", "payload-size=1024"]
    assert [[cell.network for cell in each.cells] for each in both] == (
        [["single-switch-4hosts"]] * 2
    )
    # Thresholds are asked of finished cells as well.
    file.write_text(EXPERIMENT.replace("p50_ms < 10000", "p50_us < 0.001"))
    again = run(file.name, "--hosts=local", folder=tmp_path)
    assert again.returncode == 1
    assert again.stdout.count("done before") == 2
    *lines, last = again.stderr.splitlines()
    name = "payload-size=64/centralized/single-switch-4hosts"
    assert f"pubsub-perf: {name}: p50_us < 0.001: it is " in lines[-2]
    assert last == "pubsub-perf: 2 thresholds are broken"
    # Cells that differ in something else would lie beside these, and be taken for more.
    asked_for = file.read_text()
    file.write_text(EXPERIMENT.replace("[64, 1024]", "64"))
    other = run(file.name, "--hosts=local", folder=tmp_path)
    assert other.returncode == 2
    assert (
        "payload-size=1024 is of another experiment: its cells differ" in other.stderr
    )
    # A rejected run does not change the copy of the file.
    file.write_text(EXPERIMENT.replace("rate = 50", "rate = 60"))
    slower = run(file.name, "--hosts=local", folder=tmp_path)
    assert slower.returncode == 2
    assert "is a finished cell of another sweep (interval_s 0.02" in slower.stderr
    assert (out / "experiment.toml").read_text() == asked_for


def test_a_dry_run_shows_cells_and_time_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "repeats = 3\n" + EXPERIMENT)
    done = run("payloads.toml", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("single-switch-4hosts") == 2
    assert "2 cells, 6 runs, 0 done before; about 0:" in done.stdout
    part = run("payloads.toml", "--dry-run", "--part=1/3", folder=tmp_path)
    assert "2 cells, 2 runs, 0 done before; about 0:" in part.stdout
    assert (
        run("payloads.toml", "--dry-run", "--part=9/9", folder=tmp_path).returncode == 2
    )
    assert [path.name for path in tmp_path.iterdir()] == ["payloads.toml"]


def test_a_dry_run_refuses_what_the_run_would_refuse(tmp_path: Path) -> None:
    write(tmp_path, EXPERIMENT + "delay = 5\n")
    done = run("payloads.toml", "--dry-run", "--hosts=local", folder=tmp_path)
    assert done.returncode == 2
    assert "2 cells, 2 runs" in done.stdout
    assert "local hosts have no links" in done.stderr


def test_slurm_is_looked_for_before_anything_is_written(tmp_path: Path) -> None:
    write(tmp_path, EXPERIMENT)
    done = run(
        "payloads.toml", "--slurm", "--out=out", folder=tmp_path, path="/nowhere"
    )
    assert done.returncode == 2
    assert "no Slurm here" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_preset_is_shown_as_a_file_that_runs(tmp_path: Path) -> None:
    shown = run("smoke", "--print", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    write(tmp_path, shown.stdout)
    there = run("payloads.toml", "--dry-run", folder=tmp_path)
    preset = run("smoke", "--dry-run", folder=tmp_path)
    assert (there.returncode, there.stdout) == (0, preset.stdout)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EXPERIMENT + "delay = 5", "local hosts have no links, so no bandwidth, delay"),
        (EXPERIMENT + "loss = [0, 1]", "local hosts have no links"),
        (EXPERIMENT + "pace = 5", "payloads.toml: unknown key pace in [parameters]"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    tmp_path: Path, text: str, said: str
) -> None:
    write(tmp_path, text)
    done = run("payloads.toml", "--hosts=local", folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "sweeps").exists()


def test_an_experiment_that_is_not_there_is_told_with_the_presets(
    tmp_path: Path,
) -> None:
    done = run("patern", folder=tmp_path)
    assert done.returncode == 2
    assert (
        "neither a file nor one of the presets default, full, patterns" in done.stderr
    )
    assert "did you mean the preset patterns?" in done.stderr
