"""Environments that are not made for the programs: notebooks, ASCII, homes of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.perf_sweeps import write_sweep

from pubsub_perf.plan import topologies

IMPORT = """
import os, sys
import pubsub_perf.plots.style
import matplotlib
print(matplotlib.rcParams["backend"] in sys.argv, os.environ["MPLBACKEND"])
"""


def run(words: list[str], **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | variables,
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "backend",
    ["module://matplotlib_inline.backend_inline", "module://none", "?", "svg"],
)
def test_figures_need_no_backend_and_leave_it_to_others(backend: str) -> None:
    done = run(["-c", IMPORT, backend, "agg"], MPLBACKEND=backend)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().endswith(f" {backend}\n")
    assert backend != "svg" or done.stdout.startswith(b"True")


def test_a_home_that_cannot_be_written_is_no_word_on_standard_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "home").touch()  # no folder, so that root cannot write to it either
    home = str(tmp_path / "home")
    done = run(
        ["-c", IMPORT, ""],
        HOME=home,
        MPLBACKEND="",
        MPLCONFIGDIR="",
        XDG_CONFIG_HOME=home,
        XDG_CACHE_HOME=home,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["analyze", "compare"])
def test_tables_are_written_in_ascii_where_that_is_all_there_is(
    tmp_path: Path, command: str
) -> None:
    folder = str(write_sweep(tmp_path, [topologies.single_switch(4)], runs=3))
    words = [folder] if command == "analyze" else [folder, folder]
    done = run(["-m", "pubsub_perf", command, *words], PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["-c", "1"], ["-n", "1"]])
def test_a_reader_of_tables_may_leave(tmp_path: Path, words: list[str]) -> None:
    folder = write_sweep(tmp_path, [topologies.single_switch(4)], runs=3)
    script = f'"$0" -m pubsub_perf analyze "$1" | head {" ".join(words)} >/dev/null'
    done = subprocess.run(
        ["bash", "-c", f"{script}; echo ${{PIPESTATUS[0]}}", sys.executable, folder],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")
