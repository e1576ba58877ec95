"""Runs the commands and the code that pages show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

README = ROOT / "README.md"
PROGRAMS = Path(sys.executable).parent

# First line of a block -> where it is executed.
ELSEWHERE = {
    "python3 -m venv pubsub-env": "tests/packaging/test_first_minute.py",
    "pubsub-broker &": "tests/packaging/test_first_minute.py",
    "source pubsub-env/bin/activate": "tests/packaging/test_first_minute.py",
    "make install": ".ci/run",
    "make perf": ".ci/run",
    "make perf SWEEP=full": ".ci/run",
    "make test": ".ci/run",
}


def blocks(language: str, path: Path = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.M | re.S)


def own_network() -> list[str]:
    """A network namespace of its own, where it can be had: the README's commands use
    default ports, which somebody else may use on this machine."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--net", *user, "--"]
    up = ["sh", "-c", 'PATH=$PATH:/usr/sbin:/sbin ip link set lo up && exec "$@"', "-"]
    try:
        done = subprocess.run([*command, *up, "true"], capture_output=True, timeout=20)
    except FileNotFoundError:
        return []
    return [*command, *up] if done.returncode == 0 else []


def run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*own_network(), *argv],
        cwd=folder,
        env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def run_python(block: str, folder: Path) -> list[str]:
    """What a block of the README prints."""
    done = run([sys.executable, "-c", block], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
