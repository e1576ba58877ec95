"""The notebook under ``docs/examples`` runs, and says what its file shows."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import documents, notebooks
from support.paths import DOCS

FOLDER = DOCS / "examples" / "notebook"
NOTEBOOK = FOLDER / "results.ipynb"


def test_the_notebook_says_what_is_in_it() -> None:
    shown = notebooks.texts_in(NOTEBOOK)
    assert notebooks.texts_of(NOTEBOOK) == shown
    assert sum(text == notebooks.FIGURE for text in shown) == 2
    assert sum(map(bool, shown)) > 5


def test_the_commands_beside_it_work(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "star.zip", tmp_path)
    (commands,) = documents.blocks("sh", FOLDER / "README.md")
    done = documents.run(["bash", "-eu", "-c", commands], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "verdicts" / "analysis.json").exists()
    assert (tmp_path / "tables" / "events.csv").exists()
