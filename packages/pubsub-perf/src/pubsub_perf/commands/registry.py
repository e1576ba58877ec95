"""The subcommands of ``pubsub-perf``: the one list of them, which the help text is made of.

A subcommand is a module of this folder, of the subcommand's name, with a usage text
``USAGE`` and ``run(words) -> exit code``. Its options are described in its usage text only.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from typing import Final

PROGRAM: Final = "pubsub-perf"


@dataclasses.dataclass(frozen=True, slots=True)
class Subcommand:
    """A subcommand and what it does, in one line for ``pubsub-perf --help``. It opens so many
    ``files``, with what the roles open that it starts."""

    name: str
    summary: str
    files: int = 24

    def load(self) -> Callable[[Sequence[str]], int]:
        """Its ``run``. Imported on demand: most of them load large libraries."""
        module = importlib.import_module(f"pubsub_perf.commands.{self.name}")
        run: Callable[[Sequence[str]], int] = module.run
        return run


SUBCOMMANDS: Final = (
    Subcommand(
        "sweep",
        "run systems on networks of many sizes, in both dissemination models",
        files=0,  # it asks again, when it knows its hosts
    ),
    Subcommand("run", "run an experiment that a file describes", files=0),
    Subcommand("worker", "run cells for a sweep that another machine drives", files=0),
    Subcommand("plot", "draw the latencies in a folder, and write a report"),
    Subcommand(
        "analyze", "decide what the latencies in a folder say of the two models"
    ),
    Subcommand("compare", "tell whether a second sweep is slower than a first"),
    Subcommand("pack", "make one file of the data in a folder, to be kept and cited"),
    Subcommand("export", "write the results in a folder as tables, CSV or Parquet"),
    Subcommand("view", "show a report to browsers"),
    Subcommand("bench", "measure the roles against plain pyzmq", files=96),
    Subcommand("model", "predict what a group of several brokers can do"),
)
