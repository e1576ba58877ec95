"""Machines of a lab fail in the middle of a cell: still every cell is completed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import rings
from support.lab_machines import LabMachines, wait_until
from support.lab_sweeps import LabSweep, machines_of_pairs, programs


def _kill_worker(lab: LabMachines) -> None:
    for pid in lab.processes("lab1"):
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, 9)


def _kill_sshd(lab: LabMachines) -> None:
    lab.kill_sshd("lab1")


def _cut_link(lab: LabMachines) -> None:
    lab.set_link("lab1", "down")


FAULTS = [(_kill_worker, "lab1: "), (_kill_sshd, "lab1: ")]
if rings.full_size():  # it takes its silence
    FAULTS.append((_cut_link, "lab1: nothing heard for 15 s"))


@pytest.mark.parametrize(("fault", "said_of_it"), FAULTS)
def test_every_cell_is_run_to_its_end(
    fault: Callable[[LabMachines], None],
    said_of_it: str,
    lab: LabMachines,
    tmp_path: Path,
) -> None:
    sweep = LabSweep(lab, tmp_path / "out", 2)
    sweep.wait_for_roles("lab1")
    fault(lab)
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert said_of_it in said
    assert sweep.outcomes() == ["ok"] * 4
    assert all(len(m) == 1 for m in machines_of_pairs(sweep.records()).values())
    for name in lab.names:
        wait_until(lambda: not programs(lab, name), f"nothing at {name}")  # noqa: B023
