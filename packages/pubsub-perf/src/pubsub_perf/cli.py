"""The console script ``pubsub-perf``: chooses the command. Shell."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

from pubsub_common.cli import program

PROGRAM: Final = "pubsub-perf"
EXIT_INTERRUPTED: Final = 130

# Each command is a module with a usage text and `run(options, words) -> exit code`.
COMMANDS: Final = {
    "sweep": "pubsub_perf.commands.sweep",
    "plot": "pubsub_perf.commands.plot",
    "analyze": "pubsub_perf.commands.analyze",
    "compare": "pubsub_perf.commands.compare",
    "view": "pubsub_perf.commands.view",
    "bench": "pubsub_perf.commands.bench",
}

USAGE: Final = f"""Measure publish/subscribe systems on emulated networks.

Usage:
  {PROGRAM} COMMAND [ARGUMENTS...]
  {PROGRAM} (-h | --help)
  {PROGRAM} --version

Commands:
  sweep    run systems on networks of many sizes, in both dissemination models
  plot     draw the latencies in a folder, and write a report
  analyze  decide what the latencies in a folder say of the two models
  compare  tell whether a second sweep is slower than a first
  view     show a report to browsers
  bench    measure the roles against plain pyzmq, or against other systems

{PROGRAM} COMMAND --help tells the options of a command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_perf import __version__

    words = program.normalise_argv(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in COMMANDS:
        if words and not words[0].startswith("-"):
            known = ", ".join(COMMANDS)
            print(
                f"{PROGRAM}: unknown command {words[0]}; try {known}", file=sys.stderr
            )
            return program.EXIT_USAGE
        program.parse(USAGE, words, PROGRAM, __version__)
        return program.EXIT_OK
    command = importlib.import_module(COMMANDS[words[0]])
    outcome = program.EXIT_OK

    def work() -> None:
        nonlocal outcome
        outcome = command.run(words)

    try:
        return program.run(PROGRAM, work) or outcome
    except KeyboardInterrupt:
        return program.fail(PROGRAM, "interrupted", EXIT_INTERRUPTED)
