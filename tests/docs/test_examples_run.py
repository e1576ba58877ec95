"""The programs under ``docs/examples/python`` run, and print what they are there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import DOCS

FOLDER = DOCS / "examples" / "python"

SHOWN = {
    "hello.py": r"hello, world\nhello, moon\nhello, stars\n",
    "own_data.py": (
        r"(?=[^!]*harbour: 11\.5 C at 06:00\n)(?=[^!]*harbour: 12\.0 C at 07:00\n)"
        r"(?=[^!]*hill: 7\.25 C at 06:00\n)(?=[^!]*hill: not a reading: .+\n)(.+\n){4}"
    ),
    "event_loop.py": r"north: 500, south: 500\nlost: 0\nnothing more\n",
    "recovery.py": (
        r"from the history: price 50 to price 149\n"
        r"and then: price 150, price 151, price 152\n"
        r"100 recovered, 0 lost\n"
    ),
    "measuring.py": (
        r"( *\d+ B: 180 events, 0 lost, latency p50 \S+ \S+, p99 \S+ \S+; "
        r"sent \S+ \S+ late\n){3}"
    ),
}


def test_every_program_is_told_of_and_run() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in FOLDER.glob("*.py")} == set(SHOWN)
    assert set(re.findall(r"\((\w+\.py)\)", told)) == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_a_program_shows_what_it_is_there_for(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(SHOWN[name], done.stdout), done.stdout
