"""The programs under ``docs/examples/python`` run, and print what they are there to show."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import notebooks
from support.needed_programs import needs_module
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
    "request_reply.py": r"3 squared is 9\n4 squared is 16\n",
    "fastapi_service.py": r"{'detail': 'no event of .+'}\n202\n7\.25\n",
    "processes.py": (
        r"10 tasks done, by other processes than this one:\nTrue\n"
        r"received: \[0, 1, 4, 9, 16, 25, 36, 49, 64, 81\]\n"
    ),
    "test_alarm.py": r"(?s).*2 passed.*",
}
NOTEBOOK = FOLDER / "jupyter.ipynb"

OPTIONS = {
    # Warnings of packages that are not ours.
    "fastapi_service.py": ("-W", "ignore::DeprecationWarning"),
    # As a user of the file runs it, without what pytest has of this repository.
    "test_alarm.py": (
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-c", "/dev/null", "--noconftest", "--rootdir", "."),
    ),
}


def test_every_program_is_told_of_and_run() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in FOLDER.glob("*.py")} == set(SHOWN)
    assert set(re.findall(r"\((\w+\.py)\)", told)) == set(SHOWN)
    assert f"({NOTEBOOK.name})" in told


@pytest.mark.parametrize("name", SHOWN)
def test_a_program_shows_what_it_is_there_for(name: str, tmp_path: Path) -> None:
    if name == "fastapi_service.py":
        needs_module("fastapi", "make .venv/.examples")
    done = subprocess.run(
        [sys.executable, "-W", "error", *OPTIONS.get(name, ()), str(FOLDER / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(SHOWN[name], done.stdout), done.stdout


def test_the_notebook_says_what_is_in_it() -> None:
    assert notebooks.texts_of(NOTEBOOK) == notebooks.texts_in(NOTEBOOK)


def test_a_request_and_its_reply_take_few_lines() -> None:
    source = (FOLDER / "request_reply.py").read_text(encoding="utf-8")
    functions = {
        node.name: ast.get_source_segment(source, node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }
    lines = f"{functions['serve']}\n{functions['ask']}".splitlines()
    assert len(lines) < 15
    assert "sleep" not in source
