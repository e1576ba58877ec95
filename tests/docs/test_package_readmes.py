"""The pages of the packages on an index: their Python code works together, and their
commands have options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support.documents import PROGRAMS, blocks, run_together
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


def readme(name: str) -> Path:
    return ROOT / "packages" / f"pubsub-{name}" / "README.md"


def test_the_code_of_the_three_roles_works_together(tmp_path: Path) -> None:
    broker, subscriber, publisher = (blocks("python", readme(n))[0] for n in ROLES)
    printed = run_together(broker, subscriber, publisher, tmp_path)
    assert printed.startswith("weather b'sunny' ")


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
