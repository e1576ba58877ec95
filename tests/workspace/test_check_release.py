"""scripts/check_release.py finds what may not be in a release."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import check_release

METADATA = """Metadata-Version: 2.4
Name: pubsub-broker
Version: 1.2.3
License-Expression: MIT
License-File: LICENSE
Author: The pubsub authors
Requires-Python: >=3.11
Classifier: Typing :: Typed
Requires-Dist: pubsub-common (>=1.2,<1.3)
"""
INFO = "pubsub_broker-1.2.3.dist-info"


def wheel(folder: Path, metadata: str = METADATA, **more: str) -> Path:
    path = folder / "pubsub_broker-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pubsub_broker/py.typed", "")
        archive.writestr(f"{INFO}/METADATA", metadata)
        archive.writestr(f"{INFO}/licenses/LICENSE", "MIT")
        for name, text in more.items():
            archive.writestr(name, text)
    return path


def source(folder: Path, *names: str) -> Path:
    path = folder / "pubsub_broker-1.2.3.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(
                tarfile.TarInfo(f"pubsub_broker-1.2.3/{name}"), io.BytesIO()
            )
    return path


SOURCE = (
    *("LICENSE", "README.md", "PKG-INFO", "pyproject.toml"),
    *("conftest.py", "pytest.ini", "tests/support/paths.py"),
    *("src/pubsub_broker/py.typed", "tests/control/test_core.py"),
)


def test_a_good_wheel_and_a_good_source_archive_have_no_fault(tmp_path: Path) -> None:
    assert list(check_release.check_wheel(wheel(tmp_path), "broker", "1.2.3")) == []
    assert list(check_release.check_source(source(tmp_path, *SOURCE), "broker")) == []


@pytest.mark.parametrize(
    ("line", "instead", "fault"),
    [
        ("Version: 1.2.3", "Version: 1.2.4", "Version is '1.2.4', not '1.2.3'"),
        ("License-Expression: MIT\n", "", "License-Expression is None, not 'MIT'"),
        ("Classifier: Typing :: Typed\n", "", "the classifier Typing :: Typed"),
        ("(>=1.2,<1.3)", "(>=1.1,<1.2)", "pubsub-common (>=1.1,<1.2) is another"),
        ("pubsub-common (", "x @ file:///home (", "is a path of the machine"),
    ],
)
def test_each_fault_of_the_metadata_is_named(
    tmp_path: Path, line: str, instead: str, fault: str
) -> None:
    path = wheel(tmp_path, METADATA.replace(line, instead))
    (found,) = check_release.check_wheel(path, "broker", "1.2.3")
    assert fault in found


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("setup.py", "is outside the package"),
        ("pubsub_broker/test_cli.py", "does not belong into a wheel"),
        ("pubsub_broker/__pycache__/cli.pyc", "does not belong into a wheel"),
    ],
)
def test_files_that_do_not_belong_into_a_wheel_are_named(
    tmp_path: Path, name: str, fault: str
) -> None:
    path = wheel(tmp_path, **{name: ""})
    (found,) = check_release.check_wheel(path, "broker", "1.2.3")
    assert f"{name} {fault}" in found


@pytest.mark.parametrize("missing", SOURCE)
def test_what_a_source_archive_lacks_is_named(tmp_path: Path, missing: str) -> None:
    path = source(tmp_path, *(name for name in SOURCE if name != missing))
    (found,) = check_release.check_source(path, "broker")
    named = "it has no tests" if missing.endswith("test_core.py") else missing
    assert named in found


def test_files_of_another_version_and_missing_files_are_named(tmp_path: Path) -> None:
    wheel(tmp_path)
    (tmp_path / "pubsub_common-1.2.2.tar.gz").touch()
    found = list(check_release.check_files(tmp_path, "1.2.3"))
    assert "pubsub_common-1.2.2.tar.gz: unexpected" in found
    assert "pubsub_common-1.2.3.tar.gz: missing" in found
    assert len(found) == 1 + 9


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    assert check_release.failure(["true"], tmp_path) is None
    words: list[str | Path] = ["sh", "-c", "echo one >&2; echo two >&2; exit 3"]
    fault = check_release.failure(words, tmp_path)
    assert fault is not None
    assert fault.endswith(": two")


def test_the_steps_that_are_left_end_with_the_upload() -> None:
    assert check_release.steps_left("9.9.9") == [
        "the date of 9.9.9 in CHANGELOG.md and CITATION.cff",
        "git tag v9.9.9",
        "twine upload dist/*",
    ]


def test_a_step_that_does_not_finish_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_release, "STEP_TIMEOUT_S", 0.1)
    assert check_release.failure(["sleep", "60"], tmp_path) == (
        "sleep 60: not finished after 0.1 s"
    )
