"""Experiments on a cluster: real Slurm, with two nodes on this machine."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support import documents, slurm_cluster
from support.paths import DOCS

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
    """Run a script next to a cluster; returns its output."""
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
    """All cells are there, and each pair of models comes from one node."""
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


@long
def test_results_come_back_in_a_folder_that_all_see(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        f"""
        mkdir $HIDDEN/nothing
        out=$WORK/out
        {RUN} $out
        {NOTHING_LEFT}
        {RUN} $out
        sed -i 's/events = 5/events = 6/' two.toml
        code=0; {RUN} $out || code=$?
        [ $code = 2 ]
        """,
    )
    check(tmp_path / "work/out")
    assert said.count("done before") == 4
    assert "job 2" not in said
    assert "events 5 there, 6 asked" in said


@long
@pytest.mark.timeout(300)
def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    blocks = documents.blocks("sh", DOCS / "measurement.md")
    (script,) = (block for block in blocks if "--slurm" in block)
    script = re.sub("smoke", "smoke --hosts local", script)
    said = run(tmp_path, f"{script}\npubsub-perf analyze sweeps/cluster")
    assert len(re.findall("job . has 2 tasks", said)) == 2
    one, other = (
        records(tmp_path / "work/sweeps" / name) for name in ("cluster", "later")
    )
    assert len(one) == 4
    assert set(one) == set(other)


# Cells that take long enough to be interrupted.
SLOW = "sed -i 's/interval = 0.02/interval = 4/' two.toml; sed -i 's/, 5//' two.toml"
MEASURING = "until pgrep -f '[p]ubsub-publisher' > measuring; do sleep 0.1; done"


@long
def test_an_interrupt_leaves_nothing_on_the_cluster(tmp_path: Path) -> None:
    run(
        tmp_path,
        f"""
        {SLOW}
        out=$HIDDEN/out
        {RUN} $out & pid=$!
        {MEASURING}
        kill -TERM $pid
        code=0; wait $pid || code=$?
        [ $code = 143 ]
        {NOTHING_LEFT}
        """,
    )


@long
def test_a_run_goes_on_with_the_job_of_one_that_was_killed(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        f"""
        {SLOW}
        out=$HIDDEN/out
        {RUN} $out & pid=$!
        {MEASURING}
        kill -KILL $pid
        wait $pid || true
        {RUN} $out
        {NOTHING_LEFT}
        """,
    )
    assert "job 1 is already running" in said
    assert "job 2" not in said


# Slurm waits for two minutes before it restarts this kind of task.
@long
@pytest.mark.timeout(500)
def test_a_block_whose_node_is_lost_is_run_again(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        f"""
        {SLOW}
        out=$HIDDEN/out
        {RUN} $out & pid=$!
        {MEASURING}
        node=$(squeue --noheader --format=%N | head -n 1)
        scontrol update NodeName=$node State=DOWN Reason=lost
        wait $pid
        {NOTHING_LEFT}
        mv $out .
        """,
    )
    assert "job 2" not in said
    found = records(tmp_path / "work/out")
    assert [record["outcome"] for record in found.values()] == ["ok"] * 2
