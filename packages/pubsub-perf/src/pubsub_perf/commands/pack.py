"""``pubsub-perf pack``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf import __version__
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.results.folder_extent import MAX_FILES

USAGE: Final = f"""Make one file of the data in a folder, to be kept, sent and cited: latencies,
details of events, cell.json and experiment files, without figures and reports. plot,
analyze, compare and export read it like the folder. Prints its path, size and SHA-256.

Usage:
  {PROGRAM} pack DIR [options]

Options:
  --out FILE     the file; by default DIR.zip, beside the folder
  --yes          pack a folder that is no sweep and has more than {MAX_FILES} files
  -h, --help     show this text
  --version      show the version
"""


def run(words: Sequence[str]) -> int:
    """Pack as ``words`` ask; the exit code.

    Raises:
        ConfigError: there is nothing to pack, or the file cannot be written.
    """
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    from pubsub_perf import units
    from pubsub_perf.results.packs import pack

    out = Path(options["--out"]) if options["--out"] else None
    made = pack(Path(options["DIR"]), out, many=options["--yes"])
    files = units.counted(made.files, "file", "files")
    console_script.print_line(
        f"{made.path}: {files}, {made.size_bytes:,} bytes, SHA-256 {made.sha256}"
    )
    return console_script.EXIT_OK
