"""Commands and code of docs/results.md are executed."""

from __future__ import annotations

from pathlib import Path

from support import documents
from support.paths import DOCS

PAGE = DOCS / "results.md"


def test_what_the_page_shows_works(tmp_path: Path) -> None:
    (commands,) = documents.blocks("sh", PAGE)
    done = documents.run(["bash", "-eu", "-c", commands], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.name for path in (tmp_path / "my-sweep-export").iterdir()}
    assert made == {"cells.csv", "runs.csv", "events.csv"}

    (code,) = documents.blocks("python", PAGE)
    said = documents.run_python(code, tmp_path)
    assert [line.split()[0] for line in said[1:3]] == ["centralized", "decentralized"]
    count, largest_s = said[3].split()
    assert int(count) > 0
    assert float(largest_s) > 0
