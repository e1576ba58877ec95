"""Experiments on a cluster: real Slurm, with two nodes on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support import slurm_cluster

EXPERIMENT = """
title = "Two stars"
repeats = 1
thresholds = ["lost = 0"]

[parameters]
topology = "single-switch"
switch-hosts = [4, 5]
events = 5
interval = 0.02
"""
RUN = "pubsub-perf run two.toml --hosts local --slurm --out"
# Nothing of a sweep is left, neither here nor at the nodes.
NOTHING_LEFT = """
until [ -z "$(squeue --noheader)" ]; do sleep 0.1; done
until [ -z "$(ls -A "$TMPDIR")" ]; do sleep 0.1; done
until ! pgrep -f 'pubsub_[p]erf run|[p]ubsub-broker|[p]ubsub-publisher'; do sleep 0.1; done
[ ! -e "$out/.slurm" ]
"""

long = pytest.mark.skipif(
    os.environ.get("PUBSUB_TESTS") != "long", reason="long: PUBSUB_TESTS=long"
)


def run(tmp_path: Path, script: str) -> str:
    """Run a script beside a cluster; what it has printed."""
    slurm_cluster.needs_slurm(tmp_path)
    begin = f"cat > two.toml <<'END'\n{EXPERIMENT}END\n"
    done = slurm_cluster.run(begin + script, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {
        path.parent.relative_to(out).as_posix(): json.loads(path.read_text())
        for path in out.rglob("cell.json")
    }


def check(out: Path) -> None:
    """All cells are there, and no pair of models is of two nodes."""
    found = records(out)
    assert len(found) == 4
    assert {record["outcome"] for record in found.values()} == {"ok"}
    machines = {
        (record["network"], record["run"], record["machine"]["host"])
        for record in found.values()
    }
    assert len(machines) == 2
    assert {host for *_, host in machines} == {"d1", "d2"}
    assert (out / "experiment.toml").read_text().strip() == EXPERIMENT.strip()


def test_results_come_back_without_a_folder_that_all_see(tmp_path: Path) -> None:
    said = run(tmp_path, f'out=$HIDDEN/out; {RUN} "$out"\n{NOTHING_LEFT}\nmv "$out" .')
    check(tmp_path / "work/out")
    assert "job 1 has 2 tasks" in said
