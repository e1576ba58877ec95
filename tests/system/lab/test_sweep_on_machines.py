"""A sweep on two machines: its folder is like that of one machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.lab_machines import LabMachines, wait_until
from support.lab_sweeps import LabSweep, machines_of_pairs, programs


def test_blocks_run_on_both_and_no_pair_is_split(
    lab: LabMachines, tmp_path: Path
) -> None:
    sweep = LabSweep(lab, tmp_path / "out", 4)
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    records = sweep.records()
    assert len(records) == 8
    assert set(sweep.outcomes()) == {"ok"}
    pairs = machines_of_pairs(records)
    assert all(len(machines) == 1 for machines in pairs.values()), pairs
    assert len(set.union(*pairs.values())) == 2, "both machines ran something"
    assert [programs(lab, name) for name in lab.names] == [[], []]
    # Other commands accept the folder.
    words = lab.perf("analyze", str(sweep.out))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = LabSweep(lab, sweep.out, 4)
    assert again.end().count("done before") == 8


def test_a_second_sweep_at_a_busy_machine_is_refused_and_the_first_goes_on(
    lab: LabMachines, tmp_path: Path
) -> None:
    first = LabSweep(lab, tmp_path / "first")
    first.wait_for_roles("lab1")
    first.wait_for_roles("lab2")
    second = LabSweep(lab, tmp_path / "second")
    said = second.end()
    assert second.process.returncode == 2
    assert "another sweep is running on this machine" in said
    assert len(said.strip().splitlines()) == 1
    assert first.end().count(" of ") >= 4
    assert first.outcomes() == ["ok"] * 4
    assert second.process.returncode == 2
    assert not second.out.exists()


def test_other_programs_are_refused_before_the_first_cell(
    lab: LabMachines, tmp_path: Path
) -> None:
    # Another state, like after a change at only one of the machines.
    other = tmp_path / "sitecustomize.py"
    other.write_text(
        "import pubsub_perf.lab.versions as v\nv.code_digest = lambda: 'other'\n"
    )
    worker = f"PYTHONPATH={tmp_path} pubsub-perf worker"
    sweep = LabSweep(lab, tmp_path / "out", 2, "--worker", worker)
    said = sweep.end()
    assert sweep.process.returncode == 2
    assert "has other programs than this machine" in said
    assert not sweep.out.exists()


def test_a_machine_that_cannot_be_reached_is_left_out_and_named(
    lab: LabMachines, tmp_path: Path
) -> None:
    lab.set_link("lab2", "down")
    sweep = LabSweep(lab, tmp_path / "out", 1, ssh="-o ConnectTimeout=1")
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert "lab2 is left out: " in said
    assert sweep.outcomes() == ["ok"] * 2


def test_a_driver_that_is_killed_leaves_nothing_and_its_sweep_goes_on_later(
    lab: LabMachines, tmp_path: Path
) -> None:
    sweep = LabSweep(lab, tmp_path / "out", 3)
    wait_until(lambda: "ok" in sweep.outcomes(), "a cell")
    sweep.wait_for_roles("lab1")
    sweep.kill()
    for name in lab.names:
        wait_until(lambda: not programs(lab, name), f"nothing at {name}")  # noqa: B023
    finished = sweep.outcomes().count("ok")
    sweep.again()
    said = sweep.end()
    assert sweep.process.returncode == 0, said
    assert said.count("done before") == finished
    assert sweep.outcomes() == ["ok"] * 6
    assert all(len(m) == 1 for m in machines_of_pairs(sweep.records()).values())
