"""Two machines of a lab for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab_machines import LabMachines, needs_lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabMachines]:
    needs_lab(tmp_path)
    folder = tmp_path / "lab"
    folder.mkdir()
    with LabMachines(folder) as machines:
        yield machines
