"""The pages of the packages on an index: their Python code works together, and their
commands have options that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import PROGRAMS, blocks, own_network
from support.paths import ROOT

from pubsub_broker import cli as broker_cli
from pubsub_common.cli import console_script
from pubsub_publisher import cli as publisher_cli
from pubsub_subscriber import cli as subscriber_cli

ROLES = ("broker", "subscriber", "publisher")
USAGES = {
    "pubsub-broker": broker_cli.USAGE,
    "pubsub-publisher": publisher_cli.USAGE,
    "pubsub-subscriber": subscriber_cli.USAGE,
}

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


def readme(name: str) -> Path:
    return ROOT / "packages" / f"pubsub-{name}" / "README.md"


def test_the_code_of_the_three_roles_works_together(tmp_path: Path) -> None:
    code = [blocks("python", readme(name))[0] for name in ROLES]
    done = subprocess.run(
        [*own_network(), sys.executable, "-c", TOGETHER, json.dumps(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("weather b'sunny' ")


@pytest.mark.parametrize("name", ["common", *ROLES, "perf"])
def test_the_page_says_how_to_install_it_and_names_the_other_packages(
    name: str,
) -> None:
    text = readme(name).read_text()
    assert re.search(f"pip install '?pubsub-{name}", text)
    for other in {"common", *ROLES, "perf"} - {name}:
        assert f"| pubsub-{other} |" in text
    assert "License: MIT" in text


@pytest.mark.parametrize("name", ROLES)
def test_the_commands_have_words_that_the_program_takes(name: str) -> None:
    for line in "".join(blocks("sh", readme(name))).splitlines():
        words = shlex.split(line.rpartition("| ")[2], comments=True)
        if words[0] == "pip" or {"--help", "status"} & set(words):
            continue
        assert (PROGRAMS / words[0]).exists()
        console_script.parse(USAGES[words[0]], words[1:], words[0], "1")
