"""The record of the machine and the programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pubsub_perf.experiment import environment
from pubsub_perf.experiment.git_commit import commit_of


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        ("processor\t: 0\nBogoMIPS\t: 48\n\nHardware\t: BCM2711\n", "BCM2711"),
        ("cpu model\t\t: MIPS 24Kc V5.0\n", "MIPS 24Kc V5.0"),
    ],
)
def test_the_model_of_the_processor_is_read(
    tmp_path: Path, text: str, model: str
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert environment.cpu_model(tmp_path / "cpuinfo") == model


def test_cores_and_governors_are_read_where_the_kernel_tells(tmp_path: Path) -> None:
    assert environment.cores(tmp_path) is None
    assert environment.governor(tmp_path) is None
    for cpu, core, governor in ((0, "0,2", "powersave"), (1, "1,3", "performance")):
        for sibling in (cpu, cpu + 2):
            for name, text in (
                ("topology/core_cpus_list", core),
                ("cpufreq/scaling_governor", governor),
            ):
                path = tmp_path / f"cpu{sibling}" / name
                path.parent.mkdir(parents=True)
                path.write_text(f"{text}\n")
    assert environment.cores(tmp_path) == 2
    assert environment.governor(tmp_path) == "performance, powersave"


def test_a_cell_says_what_it_ran_on() -> None:
    found = environment.describe()
    assert set(found) == {"versions", "commits", "kernel", "machine"}
    assert set(found["commits"]) == {"pubsub", "folder"}
    machine = found["machine"]
    assert machine["host"]
    assert 1 <= (machine["cores"] or 1) <= machine["cpus"]


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_of_a_folder_is_told_and_whether_files_were_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) is None
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "a")
    git(tmp_path, "tag", "v1")
    clean = commit_of(tmp_path)
    assert clean is not None
    assert re.fullmatch("[0-9a-f]{40}", clean)
    # A hook's variables name the repository of somebody else.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert commit_of(tmp_path, "a") == clean
    (tmp_path / "a").write_text("b")
    assert commit_of(tmp_path) == f"{clean}-dirty"
    # A package that is installed in a repository of somebody else is not of its commit.
    (tmp_path / "installed").write_text("")
    assert commit_of(tmp_path, "installed") is None


def test_without_git_no_commit_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None
