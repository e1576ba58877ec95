"""Every command of the README is executed: here, or by what `ELSEWHERE` names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.documents import (
    ELSEWHERE,
    README,
    blocks,
    run,
    run_python,
    run_together,
)
from support.paths import ROOT

# What must stand there for it to be so.
PROOF = {
    "python3 -m venv pubsub-env": "INSTALL, FIRST_TERMINAL, SECOND_TERMINAL",
    "pubsub-broker &": "INSTALL, FIRST_TERMINAL, SECOND_TERMINAL",
    "source pubsub-env/bin/activate": "INSTALL, FIRST_TERMINAL, SECOND_TERMINAL",
    "make install": "make lint types",
    "make perf": "make perf SWEEP=smoke",
    "make perf SWEEP=full": "make perf SWEEP=smoke",
    "make test": "make test\nmake test-system\n",
}


SHELL = blocks("sh")
HERE = [block for block in SHELL if block.splitlines()[0] not in ELSEWHERE]


@pytest.mark.parametrize("block", HERE, ids=[b.splitlines()[0] for b in HERE])
def test_the_shell_commands_work(block: str, tmp_path: Path) -> None:
    done = run(["bash", "-eu", "-c", block], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_two_short_programs_work_with_a_broker(tmp_path: Path) -> None:
    publisher, subscriber, *_ = blocks("python")
    (broker,) = blocks("python", ROOT / "packages/pubsub-broker/README.md")
    printed = run_together(broker, subscriber, publisher, tmp_path)
    assert printed.startswith("weather b'sunny in Lisbon'")


def test_the_python_code_works(tmp_path: Path) -> None:
    single, batches = (run_python(block, tmp_path) for block in blocks("python")[2:])
    assert [line.split(" b'")[1].split("'")[0] for line in single] == [
        "sunny",
        "rain later",
    ]
    sizes = [int(line.split(" events from ")[0]) for line in batches]
    assert sum(sizes) == 10_000
    assert len(sizes) < 1000


@pytest.mark.parametrize("block", [b for b in SHELL if b not in HERE])
def test_the_other_commands_are_executed_where_the_table_says(block: str) -> None:
    first = block.splitlines()[0]
    assert PROOF[first] in (ROOT / ELSEWHERE[first]).read_text()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_targets_that_a_page_names_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", text)):
        assert re.search(rf"^([a-z -]+ )?{target}( [a-z -]+)?:", makefile, re.M), target


def test_links_lead_somewhere() -> None:
    for path in [README, *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in link:
                assert (path.parent / link).exists(), f"{path.name}: {link}"
