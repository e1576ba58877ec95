"""Machines without our programs get them, and measure."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest
from support.lab_machines import LabMachines, needs_lab
from support.lab_sweeps import LabSweep
from support.rings import full_size


@pytest.fixture
def bare(tmp_path: Path) -> LabMachines:
    """A machine that has the requirements of our programs, but not the programs."""
    if not full_size():
        pytest.skip("pip takes half a minute to install it all: make test-long")
    needs_lab(tmp_path)
    needs = tmp_path / "needs"
    needs.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("pubsub"):
            (needs / path.name).symlink_to(path)
    python = tmp_path / "bin"
    python.mkdir()
    (python / "python3").symlink_to(sys.executable)
    folder = tmp_path / "lab"
    folder.mkdir()
    environment = f"PATH={python}:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH={needs}"
    return LabMachines(folder, ("lab1",), environment)


def test_what_runs_here_is_installed_there(bare: LabMachines, tmp_path: Path) -> None:
    with bare as lab:
        sweep = LabSweep(lab, tmp_path / "out", 1, "--deploy")
        said = sweep.end()
        assert sweep.process.returncode == 0, said
        assert "at lab1, in a venv of its own there" in said
        assert sweep.outcomes() == ["ok", "ok"]
        assert (lab.folder / "lab1/cache/pubsub-perf/venv/bin/pubsub-perf").is_file()
