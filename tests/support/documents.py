"""Runs the commands and the code in pages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

README = ROOT / "README.md"
PROGRAMS = Path(sys.executable).parent

# First line of a block -> the place of its execution.
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
    """A network namespace of its own, if possible: the README's commands use default
    ports, which another program may use on this machine."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--net", *user, "--"]
    up = ["sh", "-c", 'PATH=$PATH:/usr/sbin:/sbin ip link set lo up && exec "$@"', "-"]
    try:
        done = subprocess.run([*command, *up, "true"], capture_output=True, timeout=250)
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
        timeout=250,
    )


def run_python(block: str, folder: Path) -> list[str]:
    """The output of a block of the README."""
    done = run([sys.executable, "-c", block], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Starts the code of a broker and of a subscriber, then that of publishers until an event has
# arrived: the subscriber may come late.
TOGETHER = """
import json, select, subprocess, sys
broker, subscriber, publisher = json.loads(sys.argv[1])
python = [sys.executable, "-u", "-c"]
started = [subprocess.Popen([*python, broker])]
started.append(subprocess.Popen([*python, subscriber], stdout=subprocess.PIPE))
try:
    while True:
        subprocess.run([*python, publisher], check=True)
        if select.select([started[1].stdout], [], [], 0.5)[0]:
            print(started[1].stdout.readline().decode())
            break
finally:
    for each in started:
        each.kill()
        each.wait()
"""


def run_together(broker: str, subscriber: str, publisher: str, folder: Path) -> str:
    """The first line that the code of a subscriber prints, with that of the other roles."""
    code = json.dumps([broker, subscriber, publisher])
    done = run([sys.executable, "-c", TOGETHER, code], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout
