"""Programs that tests of the life cycle run, so that a program that hangs harms no
other test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from support.paths import ROOT

PROGRAMS: Final = ROOT / "tests" / "system" / "life" / "programs"

# Longer than anything takes on the busiest machine; only a failing test waits for it.
DEADLINE_S: Final = 60.0


def run_program(
    name: str,
    case: str,
    *,
    python_options: tuple[str, ...] = (),
    deadline_s: float = DEADLINE_S,
    **values: Any,
) -> str:
    """Run one case of a program in the folder `PROGRAMS`; returns its output.

    A program that hangs prints the stacks of its threads, and fails.

    Raises:
        AssertionError: it failed; the text has its output.
    """
    words = [*python_options, PROGRAMS / f"{name}.py", case, json.dumps(values)]
    done = subprocess.run(
        [os.environ.get("LIFE_PYTHON", sys.executable), *map(str, words)],
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "tests"), "LIFE_DEADLINE_S": str(deadline_s)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=deadline_s + 30,
        check=False,
    )
    assert done.returncode == 0, (
        f"{Path(name)} {case} {values}: exit code {done.returncode}\n{done.stdout}"
    )
    return done.stdout
