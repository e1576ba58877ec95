"""Facts that stand in several files agree, and no file tells where it was made."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

NAMES = ("common", "broker", "publisher", "subscriber", "perf")


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())
    return found["project"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_the_version_of_the_workspace(name: str) -> None:
    version = project(ROOT)["version"]
    about = project(ROOT / "packages" / f"pubsub-{name}")
    assert about["version"] == version
    assert importlib.import_module(f"pubsub_{name}").__version__ == version


@pytest.mark.parametrize("name", NAMES)
def test_siblings_are_asked_for_in_the_range_of_this_version(name: str) -> None:
    major, minor, _ = map(int, project(ROOT)["version"].split("."))
    wanted = f">={major}.{minor},<{major}.{minor + 1}"
    dependencies = project(ROOT / "packages" / f"pubsub-{name}")["dependencies"]
    for dependency in dependencies:
        if dependency.startswith("pubsub-"):
            assert re.sub("^pubsub-[a-z]+", "", dependency) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_what_a_package_needs(name: str) -> None:
    folder = ROOT / "packages" / f"pubsub-{name}"
    assert (folder / "src" / f"pubsub_{name}" / "py.typed").exists()
    assert len((folder / "README.md").read_text().splitlines()) > 5
    assert list((folder / "tests").glob("test_*.py"))
    assert project(folder)["requires-python"] == project(ROOT)["requires-python"]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_the_license_and_the_authors(name: str) -> None:
    folder = ROOT / "packages" / f"pubsub-{name}"
    about = project(folder)
    assert about["license"] == "MIT"
    assert about["license-files"] == ["LICENSE"]
    assert about["authors"] == [{"name": "The pubsub authors"}]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(
        about["classifiers"]
    )


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {project(ROOT)['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_is_of_this_version() -> None:
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {project(ROOT)['version']}" in lines
    said = {line.partition(":")[0] for line in lines if not line.startswith((" ", "#"))}
    needed = {"cff-version", "message", "title", "authors"}
    may = {"type", "abstract", "version", "date-released", "keywords", "license"}
    assert needed <= said <= needed | may
    assert "license: MIT" in lines


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def text_of(path: Path) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as pack:
            records = [name for name in pack.namelist() if not name.endswith(".gz")]
            return "\n".join(pack.read(name).decode() for name in records)
    # Inputs of the fuzzer may be any bytes.
    errors = "replace" if path.suffix == ".bin" else "strict"
    return path.read_text(encoding="utf-8", errors=errors)


def test_no_file_holds_a_path_of_this_machine_or_the_address_of_an_index() -> None:
    # Put together here, so that this file does not hold them either.
    index = re.compile(
        "|".join(["pypi" + r"\.org", "simple" + "/?[\"']?$", "/si" + "mple/"])
    )
    for path in tracked():
        if not path.is_file() or path.suffix in (".png", ".svg"):
            continue
        text = text_of(path)
        assert str(ROOT) + "/" not in text, path
        assert str(Path.home()) + "/" not in text, path
        found = index.search(text)
        assert found is None, f"{path}: {found}"


def test_only_perf_asks_for_numpy_matplotlib_and_mininet() -> None:
    for name in NAMES:
        wanted = " ".join(project(ROOT / "packages" / f"pubsub-{name}")["dependencies"])
        for heavy in ("numpy", "matplotlib", "mininet", "rich", "jinja2"):
            assert (heavy in wanted) == (name == "perf"), (name, heavy)
