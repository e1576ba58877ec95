"""Runs roles as they are installed: with their byte code on disk.

pip compiles the packages that it installs. If Python writes no byte code and the roles are
installed
in another way, each start compiles all modules again, and needs a quarter more memory. This cost is
not part of the benchmark.
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
    """In this block, started processes write missing byte code, to a private folder if Python
    writes none. The first start of each kind writes it."""
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
