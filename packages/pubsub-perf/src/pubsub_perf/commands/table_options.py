"""The options that say of tables how they are to be read, where these do not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_perf.results.folder_extent import MAX_FILES

if TYPE_CHECKING:
    from pubsub_perf.results.table_source import TableSource

TABLE_OPTIONS: Final = f"""\
  --column NAME  the column of latencies, by name or by number from 1, in tables whose
                 headers do not tell
  --unit UNIT    the unit of that column: s, ms, us or ns
  --delimiter D  what is between columns: a character, or comma, semicolon, tab, bar, space
  --yes          read a folder that is no sweep and has more than {MAX_FILES} files"""


def table_source(options: console_script.Options) -> TableSource:
    """What these options say.

    Raises:
        ConfigError: there is no such unit, or delimiter.
    """
    from pubsub_perf.results.table_source import TableSource

    return TableSource.of(
        options["--column"],
        options["--unit"],
        options["--delimiter"],
        many=options["--yes"],
    )
