"""Roles in a process with a low limit of open files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.attack_rows import attack
from support.hostile_system import HostileSystem

from pubsub_common.testing import wait_for

LEAST = re.compile(r"\d+ open files are too few: \w[\w -]* needs at least (\d+) here")
LIMITS = (12, 16, 20, 24)


def complaint(words: list[str], files: int, folder: Path) -> tuple[int, str]:
    """Exit code and standard error of a console script with this many files."""
    script = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    found = subprocess.run(
        ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *script],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return found.returncode, found.stderr


def least_of(words: list[str], folder: Path) -> int:
    """The number in the error, the same at each limit that is too low."""
    named = set()
    for files in LIMITS:
        code, said = complaint(words, files, folder)
        assert (code, said.count("\n")) == (1, 1), said
        found = LEAST.search(said)
        assert found, said
        named.add(int(found[1]))
    (least,) = named
    return least


@attack(
    what="too few open files for a role",
    got="one line that names the least number that works, and exit 1; with that number it "
    "serves",
    bound="`ulimit -n`",
)
def test_too_few_open_files(hostile: HostileSystem, tmp_path: Path) -> None:
    model = ["--centralized"] if hostile.centralized else []
    secure = ["--secure", str(hostile.vault.folder)] if hostile.vault else []
    keys = list(hostile.key_words("alice"))
    least = {
        "pubsub-broker": least_of(
            ["pubsub-broker", "--port", "0", *model, *secure], tmp_path
        ),
        "pubsub-publisher": least_of(
            ["pubsub-publisher", "-t", "A", "-l", "x", *keys], tmp_path
        ),
        "pubsub-subscriber": least_of(
            ["pubsub-subscriber", "-t", "A", *model, *keys], tmp_path
        ),
    }

    broker = hostile.broker(files=least["pubsub-broker"])
    port = ("--broker-port", hostile.port)
    subscriber = hostile.program(
        "pubsub-subscriber",
        *("-t", "A", "--count", 20, *model, *port),
        *hostile.key_words("bob"),
        files=least["pubsub-subscriber"],
    )
    publisher = hostile.program(
        "pubsub-publisher",
        *("-t", "A", "-i", "--rate", 50, *port, *keys),
        files=least["pubsub-publisher"],
    )
    wait_for(lambda: not subscriber.alive, "twenty events")
    assert subscriber.process.returncode == 0
    assert "20 events received, 0 lost" in subscriber.err
    assert publisher.end() == 0
    assert broker.end() == 0


@pytest.mark.parametrize("files", LIMITS)
@pytest.mark.parametrize(
    "words",
    [
        ("pubsub-broker", "status"),
        ("pubsub-broker", "check"),
        ("pubsub-driver", "--broker", "1"),
        ("pubsub-driver", "--publisher", "2"),
        ("pubsub-perf", "sweep", "--hosts", "local", "--topology", "single-switch-4"),
        ("pubsub-perf", "bench"),
    ],
    ids=" ".join,
)
def test_programs_say_it_on_one_line(
    words: tuple[str, ...], files: int, tmp_path: Path
) -> None:
    code, said = complaint(list(words), files, tmp_path)

    assert (code, said.count("\n")) == (1, 1), said
    if "open files are too few" not in said:
        assert "no broker answered" in said  # it has enough
