"""The first minute of the README, as a new user has it: two terminals, no `make`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.documents import README, blocks, own_network
from support.paths import ROOT

INSTALL, FIRST_TERMINAL, SECOND_TERMINAL = blocks("sh")[:3]
(SHOWN,) = re.findall(
    r"^The subscriber prints.*?^```\n(.*?)\n```", README.read_text(), re.M | re.S
)
# Builds and downloads take longer than a test may, on a busy machine.
pytestmark = pytest.mark.timeout(900)
TIMEOUT_S = 400

# The user types into the second terminal when the first one has printed its lines.
TERMINALS = """
source pubsub-env/bin/activate
bash -c "$FIRST" > first.out 2> first.err &
until grep -q 'subscriber .* joined: weather' first.err; do sleep 0.05; done
bash -eu -c "$SECOND"
until grep -q . first.out; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is, with what the first commands install."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "packages").symlink_to(ROOT / "packages")
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", INSTALL],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_it_installs_eight_packages(folder: Path) -> None:
    listed = subprocess.run(
        [folder / "pubsub-env/bin/python", "-m", "pip", "list", "--format=freeze"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = {line.partition("==")[0] for line in listed.split()} - {"pip", "setuptools"}
    assert len(names) == 8, names
    assert "These are eight small packages" in README.read_text()


def test_the_own_text_of_a_user_arrives(folder: Path) -> None:
    terminals = subprocess.Popen(
        [*own_network(), "bash", "-u", "-c", TERMINALS],
        cwd=folder,
        env=os.environ | {"FIRST": FIRST_TERMINAL, "SECOND": SECOND_TERMINAL},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert terminals.wait(TIMEOUT_S) == 0
    finally:
        os.killpg(terminals.pid, signal.SIGKILL)
        terminals.communicate()
    latency = re.compile(r"[\d.]+ (us|ms)")
    printed = (folder / "first.out").read_text()
    assert latency.sub("1 ms", printed.strip()) == latency.sub("1 ms", SHOWN)
