"""``pubsub-perf pack``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_common.text.counted import counted
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.results.folder_extent import MAX_FILES

USAGE: Final = f"""Pack the data of a folder into one file, which can be archived, sent and
cited: latencies, event details, cell.json and experiment files, without figures and reports.
plot, analyze, compare and export read it like the folder. Prints its path, size and SHA-256.

Examples:
  {PROGRAM} pack my-sweep
  {PROGRAM} pack my-sweep --out my-sweep-2026.zip
  {PROGRAM} pack results --yes

Usage:
  {PROGRAM} pack DIR [options]

Options:
  --out FILE     the file; default: DIR.zip, beside the folder
  --yes          also pack a folder with more than {MAX_FILES} files that is not a sweep
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""


def run(words: Sequence[str]) -> int:
    """Pack the folder that ``words`` name; returns the exit code.

    Raises:
        ConfigError: there is nothing to pack, or the file cannot be written.
    """
    options = parse(USAGE, words)
    from pubsub_perf.results.packs import pack

    out = Path(options["--out"]) if options["--out"] else None
    made = pack(Path(options["DIR"]), out, many=options["--yes"])
    files = counted(made.files, "file", grouped=True)
    console_script.print_line(
        f"{made.path}: {files}, {made.size_bytes:,} bytes, SHA-256 {made.sha256}"
    )
    return console_script.EXIT_OK
