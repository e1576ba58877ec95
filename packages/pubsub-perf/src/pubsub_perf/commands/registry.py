"""The list of subcommands of ``pubsub-perf``, from which the help text is made.

A subcommand is the module of this folder with its name. It has a usage text ``USAGE`` and a
function ``run(words) -> exit code``. Only the usage text describes its options.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf import __version__

PROGRAM: Final = "pubsub-perf"


@dataclasses.dataclass(frozen=True, slots=True)
class Subcommand:
    """A subcommand with its line for ``pubsub-perf --help``. ``files`` is the number of files
    that it and the roles that it starts open."""

    name: str
    summary: str
    files: int = 24

    def load(self) -> Callable[[Sequence[str]], int]:
        """The function ``run`` of the subcommand, imported on demand: most subcommands load
        large libraries."""
        module = importlib.import_module(f"pubsub_perf.commands.{self.name}")
        run: Callable[[Sequence[str]], int] = module.run
        return run


def parse(usage: str, words: Sequence[str]) -> console_script.Options:
    """The options in the words of a subcommand, of which its name is the first. Exits like
    `console_script.parse`."""
    program = f"{PROGRAM} {words[0]}"
    return console_script.parse(usage, words, program, __version__)


SUBCOMMANDS: Final = (
    Subcommand(
        "sweep",
        "run systems on networks of many sizes, in both dissemination models",
        files=0,  # checked later, when the number of hosts is known
    ),
    Subcommand("run", "run the experiment in a file", files=0),
    Subcommand("worker", "run cells for a sweep on another machine", files=0),
    Subcommand("plot", "draw the latencies in a folder, and write a report"),
    Subcommand("analyze", "compare the two models by the latencies in a folder"),
    Subcommand("compare", "check whether a second sweep is slower than a first"),
    Subcommand("pack", "pack the data of a folder into one file"),
    Subcommand("export", "write the results in a folder as CSV or Parquet tables"),
    Subcommand("view", "serve a report to browsers"),
    Subcommand("bench", "measure the roles against plain pyzmq", files=96),
    Subcommand("model", "predict the capacity of a group of brokers"),
)
