"""Commands of docs/measurement.md for sweeps in parts are executed, on local hosts."""

from __future__ import annotations

import json
from pathlib import Path

from support import documents
from support.paths import DOCS

(PARTS,) = documents.blocks("sh", DOCS / "measurement.md")


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
