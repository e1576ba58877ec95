"""Arguments that a program repeats in its errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.attack_rows import attack
from support.running_roles import WAIT_S

BAD = "\x1b[2J\r\nx: forged\u2028\u202e\x9b"
CALLS = [
    ("pubsub-broker", BAD),
    ("pubsub-broker", "--port", BAD),
    ("pubsub-broker", "status", "-b", BAD),
    ("pubsub-broker", "enroll", BAD, "--secure", "keys"),
    ("pubsub-broker", "list", "--secure", BAD),
    ("pubsub-broker", "--state", f"{BAD}/x"),
    ("pubsub-publisher", f"--{BAD}"),
    ("pubsub-publisher", "-t", "A", "--file", BAD),
    ("pubsub-publisher", "-t", BAD),
    ("pubsub-subscriber", "-t", "A", "--config", BAD),
    ("pubsub-subscriber", "-t", "A", "-f", f"{BAD}/x"),
    ("pubsub-subscriber", "-t", "A", "--format", f"{{{BAD}}}"),
    ("pubsub-driver", "-sub", BAD),
    ("pubsub-conformance", BAD),
    ("pubsub-conformance", "subscriber", "--only", BAD, "--", "true"),
    ("pubsub-conformance", "subscriber", "--", BAD),
    ("pubsub-perf", BAD),
    ("pubsub-perf", "plot", BAD),
    ("pubsub-perf", "view", BAD),
    ("pubsub-perf", "sweep", "--topology", BAD),
    ("pubsub-perf", "bench", "--check", BAD),
    ("pubsub-subscriber", "-t", "A", "--count", "\u0663"),
    ("pubsub-publisher", "-t", "A", "--rate", "\uff11"),
]


@attack(
    what="control characters and digits of other scripts in arguments of a program",
    got="one line that shows them escaped, and exit code 1 or 2",
)
@pytest.mark.parametrize("words", CALLS, ids=lambda words: f"{words[0]} {words[1]!a}")
def test_arguments_in_complaints(words: tuple[str, ...], tmp_path: Path) -> None:
    program, *arguments = words
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        capture_output=True,
        check=False,
        timeout=WAIT_S,
        cwd=tmp_path,
    )

    said = done.stderr.decode()
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
