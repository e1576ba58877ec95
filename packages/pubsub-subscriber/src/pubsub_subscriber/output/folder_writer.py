"""Writes each event into a folder (``--dump``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pubsub_common.errors import ConfigError
from pubsub_common.files import naming, reason_of
from pubsub_subscriber.output.formats import MEMBERS

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event

INDEX: Final = "events.jsonl"
_SUFFIX: Final = ".bin"


class FolderWriter:
    """Writes payloads as numbered files, and the other fields of events to ``events.jsonl``,
    an object a line. File names never depend on publishers."""

    def __init__(self, folder: str) -> None:
        """Makes the folder if there is none. Numbers continue after those of existing files.

        Raises:
            ConfigError: The folder cannot be made or written.
        """
        self._folder = Path(folder)
        try:
            self._folder.mkdir(exist_ok=True)
            self._number = _last_number(self._folder)
            self._index = (self._folder / INDEX).open("ab")
        except OSError as error:
            raise ConfigError(f"--dump: cannot write {reason_of(error)}") from None
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

    def write(self, event: Event) -> None:
        """Write one event.

        Raises:
            OSError: A file cannot be written.
        """
        self._number += 1
        name = f"{self._number:08}{_SUFFIX}"
        path = self._folder / name
        with naming(path), path.open("xb") as file:
            file.write(event.payload)
        members = {key: get(event) for key, get in MEMBERS.items()}
        with naming(self._folder / INDEX):
            self._index.write(self._encode({"file": name, **members}) + b"\n")

    def flush(self) -> None:
        """Write the collected lines of the index."""
        with naming(self._folder / INDEX):
            self._index.flush()

    def check(self) -> None:
        """A folder needs no reader."""

    def close(self) -> None:
        """Close the index."""
        with naming(self._folder / INDEX):
            self._index.close()


def _last_number(folder: Path) -> int:
    stems = (path.stem for path in folder.glob(f"*{_SUFFIX}"))
    return max(
        (int(stem) for stem in stems if stem.isascii() and stem.isdigit()), default=0
    )
