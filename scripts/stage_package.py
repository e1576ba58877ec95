"""Copy a package with all that its tests need, to build its source archive from there.

    python scripts/stage_package.py broker FOLDER

The tests of the packages share ``tests/support`` and ``conftest.py`` of the repository. In the
copy they are beside the tests, with settings for pytest, so the tests run from an unpacked
source archive: ``pytest`` in an environment with all five packages and the development group of
``pyproject.toml``.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
# Tests compare the code with these.
READ_BY_TESTS: Final = ("docs/protocol.md", "docs/protocol-vectors.json")
CACHES: Final = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache")
# Of pytest's settings, those that name folders of the repository.
_FOLDERS: Final = {"testpaths", "pythonpath"}


def stage(name: str, folder: Path) -> Path:
    """Copy the package into the folder, and return the copy."""
    staged = folder / f"pubsub-{name}"
    shutil.copytree(ROOT / "packages" / staged.name, staged, ignore=CACHES)
    shutil.copytree(ROOT / "tests/support", staged / "tests/support", ignore=CACHES)
    shutil.copy(ROOT / "conftest.py", staged)
    (staged / "docs").mkdir()
    for path in READ_BY_TESTS:
        shutil.copy(ROOT / path, staged / "docs")
    (staged / "pytest.ini").write_text(pytest_settings(), encoding="utf-8")
    return staged


def pytest_settings() -> str:
    """The settings of the repository for tests that are in ``tests``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings = dict(project["tool"]["pytest"]["ini_options"])
    lines = ["[pytest]", "testpaths = tests", "pythonpath = tests"]
    for key, value in settings.items():
        if key in _FOLDERS:
            continue
        values = value if isinstance(value, list) else [str(value)]
        lines.append(f"{key} =" + "".join(f"\n    {each}" for each in values))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(stage(sys.argv[1], Path(sys.argv[2])))
