"""Commands of docs/measurement.md are executed, on local hosts."""

from __future__ import annotations

import json
from pathlib import Path

from support import documents
from support.lab_machines import LabMachines, needs_lab
from support.paths import DOCS

from pubsub_perf.plan.experiment_text import parse_experiment

# Those for a cluster are in tests/system/slurm, others in the tests of their subject.
BLOCKS = documents.blocks("sh", DOCS / "measurement.md")
(RUN,) = (block for block in BLOCKS if "payloads.toml" in block)
(PARTS,) = (block for block in BLOCKS if "--part" in block and "--merge" in block)
(LAB,) = (block for block in BLOCKS if "--on" in block)
PAYLOADS, CASES = documents.blocks("toml", DOCS / "measurement.md")


def records(out: Path) -> dict[str, dict[str, object]]:
    return {
        path.relative_to(out).as_posix(): json.loads(path.read_text())
        for path in out.rglob("cell.json")
    }


def test_parts_of_a_sweep_become_the_whole_sweep(tmp_path: Path) -> None:
    script = PARTS.replace("--preset", "--hosts local --preset")
    done = documents.run(["bash", "-eu", "-c", script], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

    first, second, joined = (
        records(tmp_path / "sweeps" / name) for name in ("part-1", "part-2", "joined")
    )
    assert not set(first) & set(second), "no cell twice"
    assert joined == first | second
    networks = ("single-switch-4hosts", "tree-d2f2-4hosts")
    assert set(joined) == {
        f"data/{model}/{network}/cell.json"
        for model in ("centralized", "decentralized")
        for network in networks
    }
    # A part has both models of its networks.
    assert {record["network"] for record in first.values()} == {networks[0]}
    assert all(record["outcome"] == "ok" for record in joined.values())


def test_an_experiment_of_a_file_is_run_and_plotted(tmp_path: Path) -> None:
    asked = parse_experiment(PAYLOADS)
    assert len({case.scenario for case in asked.cases}) == 2
    assert len(asked.cases) == 3 * 2 * 2 * 5
    # The same experiment, smaller and faster.
    small = PAYLOADS.replace('["single-switch", "tree"]', '"single-switch"')
    small = small.replace("repeats = 5", "repeats = 1").replace("[5, 9]", "4")
    small = small.replace("rate = 20", "rate = 100\nevents = 50")
    (tmp_path / "payloads.toml").write_text(small.replace("< 50", "< 5000"))
    script = RUN.replace("run payloads.toml", "run payloads.toml --hosts local")
    done = documents.run(["bash", "-eu", "-c", script], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 cells, 4 runs, 0 done before" in done.stdout
    out = tmp_path / "sweeps" / "payloads"
    found = {record["scenario"] for record in records(out).values()}
    assert found == {case.scenario for case in asked.cases}
    assert (out / "report.html").is_file()


def test_machines_of_a_lab_run_an_experiment(tmp_path: Path) -> None:
    needs_lab(tmp_path)
    options = "--hosts local --preset smoke --events 5 --topology single-switch"
    words = LAB.replace("run patterns", f"sweep {options}").split()
    with LabMachines(tmp_path, ("lab1", "lab2", "lab3")) as lab:
        assert words[0] == "pubsub-perf"
        done = documents.run(lab.perf(*words[1:], "--ssh", lab.ssh), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = records(tmp_path / "sweeps" / "lab")
    assert len(found) == 2
    assert all(record["outcome"] == "ok" for record in found.values())


def test_explicit_cases_are_cells_of_their_own() -> None:
    asked = parse_experiment(CASES)
    assert sorted({case.scenario for case in asked.cases}) == [
        "bandwidth=5",
        "bandwidth=50",
        "bandwidth=none",
    ]
    assert len(asked.cases) == 3 * 2
    assert [len(asked.thresholds_of(case)) for case in asked.cases] == [0] * 4 + [1] * 2
