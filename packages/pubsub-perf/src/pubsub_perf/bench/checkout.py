"""The programs of this checkout, and of another one that it is compared with.

The benchmark itself is always this one: the processes of the other checkout run it with their own
roles.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Final

import pubsub_perf
from pubsub_common.errors import ConfigError
from pubsub_perf.hosts.interface import script

_PREFIX: Final = "pubsub-"


@dataclasses.dataclass(frozen=True, slots=True)
class Checkout:
    """One version of the roles: the Python of the environment where they are installed, None for
    the one that runs this."""

    python: Path | None = None

    def interpreter(self) -> str:
        """The Python of the processes."""
        return sys.executable if self.python is None else str(self.python)

    def program(self, name: str) -> str:
        """The path of one of our console scripts, like ``pubsub-broker``."""
        return script(name) if self.python is None else str(self.python.with_name(name))

    def command(self, words: list[str]) -> list[str]:
        """``words``, which call a console script of ours or another program, as called here."""
        name = Path(words[0]).name
        if self.python is None or not name.startswith(_PREFIX):
            return words
        return [self.program(name), *words[1:]]

    def environment(self) -> dict[str, str] | None:
        """The environment of a process that runs this benchmark; None for the usual one."""
        if self.python is None:
            return None
        ours = str(Path(pubsub_perf.__file__).parent.parent)
        before = os.environ.get("PYTHONPATH")
        path = ours if before is None else os.pathsep.join((ours, before))
        return {**os.environ, "PYTHONPATH": path}


HERE: Final = Checkout()


def checkout_at(folder: str) -> Checkout:
    """The checkout in ``folder``, with its environment in ``.venv``; or the environment itself.

    Raises:
        ConfigError: No roles are installed there.
    """
    for place in (Path(folder) / ".venv", Path(folder)):
        python = (place / "bin" / "python").absolute()
        if python.exists() and python.with_name("pubsub-broker").exists():
            return Checkout(python)
    raise ConfigError(
        f"{folder} has no environment with the roles: run make install there"
    )
