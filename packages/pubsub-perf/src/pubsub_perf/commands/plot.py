"""``pubsub-perf plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf import __version__
from pubsub_perf.commands.registry import PROGRAM

USAGE: Final = f"""Draw the one-way latencies in a folder and write a report about them:
plots/, report.md and report.html. The folder is a sweep's, or any with CSV files of
publisher, topic, seconds.

Usage:
  {PROGRAM} plot DIR [options]

Options:
  --out DIR      where figures and report go; DIR itself if not given
  -h, --help     show this text
  --version      show the version
"""


def run(words: Sequence[str]) -> int:
    """Plot as ``words`` ask; the exit code.

    Raises:
        ConfigError: there is nothing to plot.
    """
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    from pubsub_perf.report.writer import write_report

    report = write_report(
        Path(options["DIR"]), Path(options["--out"]) if options["--out"] else None
    )
    for warning in report.warnings:
        console_script.print_message(PROGRAM, warning)
    for path in report.files:
        console_script.print_line(str(path))
    return console_script.EXIT_OK
