"""The console script ``pubsub-perf``, which runs a subcommand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from pubsub_common.cli import console_script
from pubsub_common.cli.words import unknown_command
from pubsub_common.net.open_files import check_open_files
from pubsub_perf.commands.registry import PROGRAM, SUBCOMMANDS

_WIDTH: Final = max(len(each.name) for each in SUBCOMMANDS)
_SUMMARIES: Final = "\n".join(
    f"  {each.name:<{_WIDTH}}  {each.summary}" for each in SUBCOMMANDS
)
USAGE: Final = f"""Measure publish/subscribe systems on emulated networks.

Examples:
  {PROGRAM} sweep --hosts local --topology single-switch --out my-sweep
  {PROGRAM} plot my-sweep
  {PROGRAM} view my-sweep

Usage:
  {PROGRAM} COMMAND [ARGUMENT]... [options]

Commands:
{_SUMMARIES}

Options:
  --man          show the manual page, for man -l -
  -h, --help     show this text; {PROGRAM} COMMAND --help shows that of a command
  -V, --version  show the version
"""


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_perf import __version__

    words = list(sys.argv[1:] if argv is None else argv)
    by_name = {each.name: each for each in SUBCOMMANDS}
    if not words or words[0] not in by_name:
        if words and not words[0].startswith("-"):
            return console_script.print_error(
                PROGRAM,
                f"{unknown_command(words[0], list(by_name))}; try {PROGRAM} --help",
                console_script.EXIT_USAGE,
            )
        console_script.parse(USAGE, words, PROGRAM, __version__)
        return console_script.EXIT_OK
    chosen = by_name[words[0]]
    exit_code = console_script.EXIT_OK

    def work() -> None:
        nonlocal exit_code
        if not {"-h", "--help"}.intersection(words):
            check_open_files(f"{PROGRAM} {chosen.name}", chosen.files)
        exit_code = chosen.load()(words)

    return console_script.run(PROGRAM, work) or exit_code
