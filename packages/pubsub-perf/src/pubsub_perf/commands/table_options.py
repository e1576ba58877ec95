"""Options for reading tables that do not describe their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_perf.results.folder_extent import MAX_FILES

if TYPE_CHECKING:
    from pubsub_perf.results.table_source import TableSource

TABLE_OPTIONS: Final = f"""\
  --column NAME  column of latencies, by name or by number from 1, for tables without a
                 clear header
  --unit UNIT    unit of that column: s, ms, us or ns
  --delimiter D  separator of columns: a character, or comma, semicolon, tab, bar, space
  --yes          also read a folder with more than {MAX_FILES} files that is not a sweep"""


def table_source(options: console_script.Options) -> TableSource:
    """The values of these options.

    Raises:
        ConfigError: a unit or delimiter is not valid.
    """
    from pubsub_perf.results.table_source import TableSource

    return TableSource.of(
        options["--column"],
        options["--unit"],
        options["--delimiter"],
        many=options["--yes"],
    )
