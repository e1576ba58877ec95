"""The name of a client that was given none: ``program@host:pid``."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from pathlib import PurePath
from typing import Final

from pubsub_common.protocol.client_names import is_client_name

# Together with the process id and a number they stay below the limit for names.
_PART: Final = 24
_numbers: Final = itertools.count(1)


def own_name() -> str:
    """A new name: ``program@host:pid``, and ``program@host:pid#2`` for the second client of
    the process, so that no two have one name."""
    number = next(_numbers)
    name = (
        f"{_program()}@{_shown(socket.gethostname().partition('.')[0])}:{os.getpid()}"
    )
    return name if number == 1 else f"{name}#{number}"


def _program() -> str:
    words = getattr(sys, "argv", None) or [""]
    path = PurePath(words[0])
    # `python -m package` runs a file in the folder of that name; the console scripts of this
    # project have the names of their packages, with dashes.
    stem = path.parent.name if path.name == "__main__.py" else path.stem
    if stem.startswith("pubsub_"):
        stem = stem.replace("_", "-")
    return "python" if stem in ("", "-", "-c", "-m") else _shown(stem)


def _shown(text: str) -> str:
    """``text`` without the characters that a name must not have, and not too long."""
    return "".join(char if is_client_name(char) else "_" for char in text[:_PART])
