"""``pubsub-perf export``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.commands.table_options import TABLE_OPTIONS, table_source

USAGE: Final = f"""Write the results in a folder or a pack as three tables for other programs:
cells, runs and events. In Python, pubsub_perf.load(DIR) returns the same tables.

Examples:
  {PROGRAM} export my-sweep --csv
  {PROGRAM} export my-sweep --parquet --out tables
  {PROGRAM} export my-sweep.zip --csv

Usage:
  {PROGRAM} export DIR (--csv | --parquet) [options]

Options:
  --csv          write CSV files
  --parquet      write Parquet files; needs pyarrow (pubsub-perf[parquet])
  --out OUT      folder for the files; default: DIR-export, beside DIR
{TABLE_OPTIONS}
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""


def run(words: Sequence[str]) -> int:
    """Export the results that ``words`` name; returns the exit code.

    Raises:
        ConfigError: there is nothing to export, or the files cannot be written.
    """
    options = parse(USAGE, words)
    from pubsub_perf.results.loading import load_tables
    from pubsub_perf.results.table_files import export
    from pubsub_perf.results.unpacking import report_folder

    path = Path(options["DIR"])
    results = load_tables(path, table_source(options), "export")
    for problem in results.problems:
        console_script.print_message(PROGRAM, problem)
    whole = report_folder(path).resolve()
    out = (
        Path(options["--out"])
        if options["--out"]
        else whole.with_name(f"{whole.name}-export")
    )
    for file in export(results, out, "csv" if options["--csv"] else "parquet"):
        console_script.print_line(str(file))
    return console_script.EXIT_OK
