"""What every test of the workspace begins with."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

_LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def _logging_as_at_the_start() -> Iterator[None]:
    """A program's `main` sets logging up for the whole process: neither the last test
    nor a fixture of a whole module may keep this one from hearing what is logged."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    logging.disable(logging.NOTSET)
    root.setLevel(_LEVEL)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("pubsub") and isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
    yield
    root.handlers[:] = handlers
    root.setLevel(_LEVEL)
