"""Reads the details of every event of one run: ``events/subscriber-<i>.csv.gz``.

Columns publisher, topic, session, sequence, published_ns, received_ns; a row for each
event, in order of receipt. Cells may lack these files.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.files import NotReadable, opened

FOLDER: Final = "events"
_PATTERN: Final = "subscriber-*.csv.gz"
# Limits of a file, packed and unpacked: about three million events.
_MAX_BYTES: Final = 256 * 1024 * 1024
_COLUMNS: Final = (3, 4, 5)  # sequence, published_ns, received_ns


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Details:
    """The events of all subscribers of one run, by time of publication. ``sequence``
    counts from 0 in each stream."""

    sequence: NDArray[np.int64]
    published_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]

    @property
    def latencies(self) -> NDArray[np.float64]:
        """One-way latencies in seconds."""
        return (self.received_ns - self.published_ns) / 1e9

    @property
    def elapsed_s(self) -> NDArray[np.float64]:
        """The time of publication of each event, in seconds since the first one."""
        latencies: NDArray[np.float64] = (
            self.published_ns - self.published_ns[0]
        ) / 1e9
        return latencies


def read_details(folder: Path) -> tuple[Details | None, tuple[str, ...]]:
    """The details of the run in ``folder``, or None; and the problems in them. Files that
    cannot be read are left out and named."""
    tables, problems = [], []
    for path in sorted((folder / FOLDER).glob(_PATTERN)):
        try:
            tables.append(read_table(path, folder))
        except NotReadable as error:
            problems.append(f"{FOLDER}/{path.name}: is left out: {error.reason}")
        except (OSError, EOFError, ValueError, zlib.error) as error:
            name = f"{FOLDER}/{path.name}"
            problems.append(f"{name}: cannot be read, and is left out: {error}")
    rows = np.concatenate([np.empty((0, 3), dtype=np.int64), *tables])
    if not len(rows):
        return None, tuple(problems)
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    return Details(rows[:, 0], rows[:, 1], rows[:, 2]), tuple(problems)


def read_table(path: Path, folder: Path) -> NDArray[np.int64]:
    """Columns sequence, published_ns and received_ns of one file in ``folder``, in its
    order.

    Raises:
        OSError, EOFError, ValueError, zlib.error: it cannot be read to its end.
        NotReadable: it is not a plain file, not in the folder, or too large.
    """
    with (
        opened(path, _MAX_BYTES, within=folder) as (descriptor, _),
        os.fdopen(descriptor, "rb", closefd=False) as packed,
        gzip.open(packed) as file,
    ):
        # A small file may unpack to a very large one.
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise NotReadable(path, f"it unpacks to more than {_MAX_BYTES} bytes")
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", "replace")
    body = text.readlines()[1:]
    if not body:
        return np.empty((0, 3), dtype=np.int64)
    return np.loadtxt(
        body,
        delimiter=",",
        usecols=_COLUMNS,
        dtype=np.int64,
        ndmin=2,
        comments=None,
        quotechar='"',
    )
