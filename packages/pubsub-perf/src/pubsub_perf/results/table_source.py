"""The user's description of tables without clear headers."""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_perf.results import column_names
from pubsub_perf.results.column_names import UNITS

_NAMED: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}


@dataclasses.dataclass(frozen=True, slots=True)
class TableSource:
    """Describes tables without clear headers: the ``column`` of the latencies, by
    name or by number from 1; its ``unit``; the ``delimiter`` of columns. With ``many``, a
    folder that is not a sweep may have any number of files."""

    column: str | None = None
    unit: str | None = None
    delimiter: str | None = None
    many: bool = False

    @staticmethod
    def of(
        column: str | None, unit: str | None, delimiter: str | None, *, many: bool
    ) -> TableSource:
        """From the values of options.

        Raises:
            ConfigError: the unit or delimiter is not valid.
        """
        known = None if unit is None else column_names.unit_named(unit)
        if unit is not None and known is None:
            raise ConfigError(f"--unit {unit}: not one of {', '.join(UNITS)}")
        if delimiter is not None:
            name = delimiter.strip().lower() or delimiter
            delimiter = _NAMED.get(name.removesuffix("s"), delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise ConfigError(
                    f"--delimiter {delimiter}: not a single character, nor one of "
                    f"{', '.join(_NAMED)}"
                )
        return TableSource(column, known, delimiter, many)
