"""The installation of our programs on a machine: the archive, the installer, and its errors."""

from __future__ import annotations

import importlib.metadata
import io
import os
import shlex
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment import one_sweep
from pubsub_perf.lab import command, remote_install
from pubsub_perf.lab.deploy import deploy, parcel_of
from pubsub_perf.lab.versions import PACKAGES
from pubsub_perf.lab.wheels import constraints, wheels

# An "ssh" to this machine: it runs its last word, as sshd does.
HERE = ["sh", "-c", 'eval "$0"']


def at(path: Path, **environment: str) -> dict[str, str]:
    return os.environ | {"XDG_CACHE_HOME": str(path)} | environment


def install_here(path: Path, parcel: bytes, **environment: str) -> tuple[int, str]:
    """Run the installer as sshd would; its exit code, and what it says."""
    process = subprocess.Popen(
        [*HERE, command.INSTALLER],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=at(path, **environment),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(parcel)
    process.stdin.flush()
    said = process.stderr.read().decode()
    process.stdin.close()
    process.stderr.close()
    return process.wait(), said


def test_the_wheels_hold_what_runs_here_and_are_the_same_bytes_again() -> None:
    made = wheels()
    assert made == wheels()
    assert len(made) == len(PACKAGES)
    name = f"pubsub_perf-{importlib.metadata.version('pubsub-perf')}"
    with zipfile.ZipFile(io.BytesIO(made[f"{name}-py3-none-any.whl"])) as wheel:
        names = wheel.namelist()
        source = wheel.read("pubsub_perf/lab/remote_install.py")
        about = wheel.read(f"{name}.dist-info/METADATA").decode()
        scripts = wheel.read(f"{name}.dist-info/entry_points.txt").decode()
    assert source == Path(remote_install.__file__).read_bytes()
    assert "pubsub_perf/presets/smoke.toml" in names
    assert not [each for each in names if "__pycache__" in each]
    assert " @ " not in about
    assert "pubsub-perf=pubsub_perf.cli:main" in scripts.replace(" ", "")


def test_what_events_pass_through_has_the_versions_of_here() -> None:
    version = importlib.metadata.version("pyzmq")
    assert f"pyzmq=={version}\n" in constraints()
    assert "pytest" not in constraints()


def test_pip_asks_no_index_where_wheels_are_sent(tmp_path: Path) -> None:
    (tmp_path / "pubsub_perf-1-py3-none-any.whl").touch()
    ours, needs = remote_install.pip_options(tmp_path)
    assert {"--no-deps", "--force-reinstall", "--no-index"}.issubset(ours)
    assert "--constraint" in needs
    assert "--no-index" not in needs
    (tmp_path / "dependencies").mkdir()
    _, needs = remote_install.pip_options(tmp_path)
    assert needs[-4:-1] == [
        *("--no-index", "--find-links"),
        str(tmp_path / "dependencies"),
    ]


def test_commands_pass_any_shell_as_one_line() -> None:
    for words in (command.INSTALLER, command.DEPLOYED_WORKER):
        assert "\n" not in words
        assert "!" not in words
        assert shlex.split(words)[:3] == ["exec", "sh", "-c"]


def test_the_deployed_worker_is_in_the_cache(tmp_path: Path) -> None:
    place = tmp_path / "a b" / "pubsub-perf" / "venv" / "bin"
    place.mkdir(parents=True)
    program = place / "pubsub-perf"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o700)
    done = subprocess.run(
        [*HERE, command.DEPLOYED_WORKER],
        env=at(tmp_path / "a b"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "worker\n"


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    parcel = parcel_of(None)
    _, _, rest = parcel.partition(b'"state": "')
    venv = tmp_path / "pubsub-perf" / "venv"
    venv.mkdir(parents=True)
    (venv / "pubsub-state").write_bytes(rest[:64])
    assert install_here(tmp_path, parcel) == (0, "")
    assert [each.name for each in venv.iterdir()] == ["pubsub-state"]


def test_a_machine_without_venv_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['ensurepip'] = None\n"
    )
    code, said = install_here(tmp_path, parcel_of(None), PYTHONPATH=str(tmp_path))
    assert code == 1
    assert said == "python3-venv is missing (apt install python3-venv)\n"


def test_a_machine_that_is_measuring_refuses_in_one_line(tmp_path: Path) -> None:
    with one_sweep.alone():
        code, said = install_here(tmp_path, parcel_of(None))
    assert code == 1
    assert said == "another sweep is running on this machine: wait until it has ended\n"


def test_an_installer_ends_with_its_driver(tmp_path: Path) -> None:
    # What takes long there is pip, or the making of the venv.
    (tmp_path / "sitecustomize.py").write_text(
        "import subprocess\n"
        "subprocess.run = lambda *_, **__: subprocess.Popen(['sleep', '600']).wait()\n"
    )
    process = subprocess.Popen(
        [*HERE, command.INSTALLER],
        stdin=subprocess.PIPE,
        env=at(tmp_path, PYTHONPATH=str(tmp_path)),
        start_new_session=True,
    )
    process.communicate(parcel_of(None), timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_what_a_machine_says_is_told_with_its_name() -> None:
    said: list[str] = []
    refuse = ["sh", "-c", "echo no room >&2; exit 1"]
    with pytest.raises(ConfigError, match=r"^lab2: no room$"):
        deploy({"lab1": ["true"], "lab2": refuse}, None, said.append)
    assert len(said) == 1
    assert "at lab1, lab2, in a venv" in said[0]


def test_a_machine_that_cannot_be_reached_is_left_to_its_worker() -> None:
    deploy({"lab1": ["sh", "-c", "exit 255"]}, None, lambda _: None)


def test_a_folder_without_wheels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no wheels in"):
        parcel_of(tmp_path)
