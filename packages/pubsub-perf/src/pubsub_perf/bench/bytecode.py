"""Runs roles as they are installed: with their byte code on disk.

pip compiles what it installs. Where Python is told to write none and the roles are installed
in another way, each of their starts compiles all modules again, and needs a quarter more
memory for ever: that is not theirs to answer for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

_FORBIDS: Final = "PYTHONDONTWRITEBYTECODE"
_FOLDER: Final = "PYTHONPYCACHEPREFIX"


@contextlib.contextmanager
def written() -> Iterator[None]:
    """In this block, the processes that we start write byte code when there is none: to a
    folder of our own, if Python was told not to. The first start of a kind does so."""
    if not sys.dont_write_bytecode:
        yield
        return
    before = {name: os.environ.pop(name, None) for name in (_FORBIDS, _FOLDER)}
    with tempfile.TemporaryDirectory(prefix="pubsub-bench-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]
            os.environ.update({n: old for n, old in before.items() if old is not None})
