"""A disk that is full: the cell fails, is recorded, and names the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.synthetic_sweeps import GroundTruth, LatencyModel, write_sweep

LAW = LatencyModel(lambda _: 1e-3)

# A file system of so many bytes has place for the records, and not for the events.
SWEEP = """
mount -t tmpfs -o size={size}k none {disk} || exit 77
{python} -m pubsub_perf sweep --hosts local --topology single-switch --switch-hosts 4 \
    --model centralized --events 200 --interval 0.005 --out {disk}/sweep
echo "exit code $?"
cat {disk}/sweep/data/centralized/single-switch-4hosts/cell.json
"""


def sweep(disk: Path, size: int) -> tuple[str, str]:
    return alone(SWEEP.format(size=size, disk=disk, python=sys.executable))


def alone(script: str) -> tuple[str, str]:
    """What a script says that mounts a file system of its own."""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        check=False,
        timeout=120,
        text=True,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    return done.stdout, done.stderr


def test_a_disk_that_fills_up_fails_the_cell_which_is_recorded(tmp_path: Path) -> None:
    said, _ = sweep(tmp_path, 24)
    before, _, record = said.partition("exit code 1\n")
    found = json.loads(record)
    assert found["outcome"] == "failed"
    words = ("No space left on device", "bytes left on its disk")
    assert any(each in found["reason"] for each in words)
    assert str(tmp_path / "sweep") in found["reason"]
    assert "single-switch-4hosts: failed" in before


def test_a_disk_that_is_full_is_one_line(tmp_path: Path) -> None:
    said, errors = sweep(tmp_path, 4)
    assert "exit code 2" in said
    [line] = [line for line in errors.splitlines() if line.startswith("pubsub-perf")]
    assert line.endswith("No space left on device")
    assert str(tmp_path / "sweep") in line


DISK = """
mount -t tmpfs -o size=8k none {disk} || exit 77
{python} -m pubsub_perf {command}
echo "exit code $?"
"""


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("export --csv {data} --out {disk}/out", "out/events.csv"),
        ("compare {data} {data} --out {disk}/out", "out/comparison.png"),
    ],
)
def test_what_is_written_elsewhere_names_its_file(
    tmp_path: Path, command: str, file: str
) -> None:
    data, disk = tmp_path / "data", tmp_path / "disk"
    write_sweep(data, GroundTruth(LAW, LAW, sizes=(5,), runs=3), 1)
    disk.mkdir()
    script = DISK.format(
        disk=disk, python=sys.executable, command=command.format(data=data, disk=disk)
    )
    said, errors = alone(script)
    assert "exit code 2" in said
    [line] = errors.splitlines()
    assert line.endswith(f"{disk / file}: No space left on device")


def test_a_full_standard_output_is_not_told_as_slower(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_sweep(data, GroundTruth(LAW, LAW, sizes=(5,), runs=3), 1)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pubsub_perf", "compare", data, data],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 2
    assert "cannot write to standard output" in done.stderr
