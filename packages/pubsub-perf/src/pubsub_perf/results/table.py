"""A table: named numpy arrays of equal length, which pandas, polars and other libraries
accept.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from pubsub_common.errors import ConfigError

if TYPE_CHECKING:
    import pandas

Column = NDArray[Any]

_SHOWN_ROWS: Final = 10


class Table(Mapping[str, Column]):
    """Named columns of equal length: ``table["p50_s"]`` is a column, ``table[:2]`` a table of
    the first rows, and ``table[mask]`` a table of the rows that an array selects.
    `pandas.DataFrame` and `polars.DataFrame` accept ``dict(table)``; a notebook shows the
    first rows."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = dict(columns)

    @overload
    def __getitem__(self, key: str) -> Column: ...

    @overload
    def __getitem__(self, key: slice | Column) -> Table: ...

    def __getitem__(self, key: str | slice | Column) -> Column | Table:
        """Raises:
        KeyError: the column does not exist.
        IndexError: the rows do not exist.
        TypeError: the key is neither a name nor rows.
        """
        if isinstance(key, slice | np.ndarray):
            return Table({name: column[key] for name, column in self._columns.items()})
        if not isinstance(key, str):
            raise TypeError(
                f"select a column by name, and rows by a slice or an array: {key!r}"
            )
        if key not in self._columns:
            raise KeyError(self._no_column(key))
        return self._columns[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def where(self, **values: object) -> Table:
        """The rows with these values: ``where(model="centralized", run=[1, 2])``.

        Raises:
            ConfigError: the column does not exist.
        """
        kept = np.ones(self.rows, dtype=np.bool_)
        for name, wanted in values.items():
            several = isinstance(wanted, list | tuple | set | frozenset | np.ndarray)
            each: Any = list(wanted) if several else [wanted]  # type: ignore[call-overload]
            kept &= np.isin(self._column(name), each)
        return self[kept]

    def select(self, *names: str) -> Table:
        """Only these columns, in this order.

        Raises:
            ConfigError: the column does not exist.
        """
        return Table({name: self._column(name) for name in names})

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            raise ConfigError(self._no_column(name))
        return self._columns[name]

    def _no_column(self, name: str) -> str:
        return f"no column {name!r}; there are {', '.join(self._columns)}"

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a data frame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("pandas is not installed: pip install pandas") from error
        return pandas.DataFrame(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self.rows:,} rows: {', '.join(self._columns)}>"

    def _repr_html_(self) -> str:
        """For notebooks."""
        columns = [column[:_SHOWN_ROWS].tolist() for column in self._columns.values()]
        lines = [list(self._columns), *zip(*columns, strict=True)]
        kinds = ["th", *["td"] * len(lines)]
        rows = (
            "".join(f"<{kind}>{html.escape(_shown(v))}</{kind}>" for v in line)
            for kind, line in zip(kinds, lines, strict=False)
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        more = self.rows - _SHOWN_ROWS
        tail = f"<p>… and {more:,} rows more</p>" if more > 0 else ""
        return f"<table>{body}</table>{tail}"


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def joined(tables: Iterable[Table]) -> Table:
    """The rows of tables with the same columns, one after the other; at least one."""
    parts = [*tables]
    return Table({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})
