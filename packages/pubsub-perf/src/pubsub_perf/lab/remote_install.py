"""Installs our programs on a machine of a lab, in a private venv.

This text is sent there and run by the Python of the machine, before any other program of ours. It
imports only the standard library. An error ends it with one line on standard error.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

# The state of the installed programs; written last.
_STAMP = "pubsub-state"
# In the archive, beside the wheels.
CONSTRAINTS = "constraints.txt"
DEPENDENCIES = "dependencies"


def install(given: IO[bytes]) -> None:
    """Install from ``given``: a line of JSON (``bytes`` of the archive, its
    ``state``, and ``lock``, the name that a running sweep holds), and an archive of wheels.
    The end of ``given`` ends the process, as its driver is gone."""
    asked = json.loads(given.readline())
    archive = given.read(asked["bytes"])
    if len(archive) < asked["bytes"]:
        sys.exit("the connection was closed")
    threading.Thread(target=_end_with, args=(given,), daemon=True).start()
    held = _alone(asked)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    venv = Path(cache).expanduser() / "pubsub-perf" / "venv"
    try:
        if _installed(venv) != asked["state"]:
            _fill(venv, archive)
            (venv / _STAMP).write_text(asked["state"])
    except OSError as error:
        sys.exit(f"cannot install into {venv}: {error.strerror or error}")
    del held


def _end_with(given: IO[bytes]) -> NoReturn:
    while os.read(given.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)
    raise AssertionError


def _alone(asked: dict[str, Any]) -> socket.socket | None:
    """Hold the lock of sweeps: an installation would disturb a sweep, and replace its programs."""
    if not sys.platform.startswith("linux"):
        return None
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind("\0" + asked["lock"])
    except OSError:
        sys.exit("another sweep is running on this machine: wait until it has ended")
    return lock


def _installed(venv: Path) -> str | None:
    try:
        return (venv / _STAMP).read_text()
    except OSError:
        return None


def _fill(venv: Path, archive: bytes) -> None:
    python = venv / "bin" / "python"
    (venv / _STAMP).unlink(missing_ok=True)
    if not _runs([str(python), "-m", "pip", "--version"]):
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit("python3-venv is missing (apt install python3-venv)")
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)])
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                target = Path(name, member.name)
                target.parent.mkdir(exist_ok=True)
                source = tar.extractfile(member)
                if source is not None:
                    target.write_bytes(source.read())
        for options in pip_options(Path(name)):
            _run([str(python), "-m", "pip", *options])


def pip_options(folder: Path) -> list[list[str]]:
    """The options of pip: our programs are always installed, dependencies only if they are
    missing. With wheels of dependencies no index is used."""
    install = ["--disable-pip-version-check", "--no-input", "install", "--quiet"]
    ours = sorted(str(path) for path in folder.glob("*.whl"))
    needs = ["--constraint", str(folder / CONSTRAINTS)]
    if (folder / DEPENDENCIES).is_dir():
        needs = ["--no-index", "--find-links", str(folder / DEPENDENCIES)]
    return [
        [*install, "--no-deps", "--no-index", "--force-reinstall", *ours],
        [*install, *needs, *ours],
    ]


def _runs(words: Sequence[str]) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).split("\n")
        told = [line.strip() for line in said if line.strip()]
        wrong = [line for line in told if line.startswith("ERROR: ")] or told
        sys.exit(wrong[-1] if wrong else f"{words[0]} failed ({done.returncode})")


if __name__ == "__main__":
    install(sys.stdin.buffer)
