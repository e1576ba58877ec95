"""``pubsub-perf worker``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_perf.commands.registry import PROGRAM, parse

USAGE: Final = f"""Run cells for a sweep on another machine, which starts this command through ssh
({PROGRAM} sweep --on, {PROGRAM} run --on). It reads cells from standard input, and writes
results to standard output. At the end of its input it stops, with all processes that it
started.

Usage:
  {PROGRAM} worker [options]

Options:
  -v, --verbose  log more
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""


def run(words: Sequence[str]) -> int:
    """Serve one driver; returns the exit code.

    Raises:
        PubSubError: this machine cannot run a cell.
        ConfigError: another sweep is running on this machine.
    """
    options = parse(USAGE, words)
    clear_environment()
    console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
    from pubsub_perf.lab.worker_start import work

    work(words)
    return console_script.EXIT_OK
