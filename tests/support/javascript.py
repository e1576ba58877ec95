"""The example in JavaScript, if Node is available."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from support.paths import DOCS, ROOT

EXAMPLE: Final = DOCS / "examples" / "javascript"
_INSTALL: Final = ROOT / "scripts" / "javascript-packages.sh"
_PACKAGES: Final = ROOT / ".cache" / "javascript" / "node_modules"


def missing_for_javascript() -> str | None:
    """The reason why the example cannot run here; None if it can. Installs its packages
    once."""
    done = subprocess.run([_INSTALL], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def copy_example(folder: Path) -> Path:
    """A copy of the example next to its packages, as Node finds no others."""
    target = folder / "javascript"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("node_modules"))
    (target / "node_modules").symlink_to(_PACKAGES)
    return target
