"""Figures of one-way latency; the only importer of matplotlib.

`registry` lists the figures; each has a module of its own.

Shell, except `host_latencies` and `network_layout`.
"""

import contextlib
import logging
import os
import sys
from typing import Final

_BACKEND: Final = "MPLBACKEND"


def _import_matplotlib() -> None:
    """Import matplotlib without its warnings, in any environment.

    A notebook sets its own backend for programs that it starts. This environment may lack that
    backend, so figures are drawn without one. Without a writable home, a temporary folder
    replaces it.
    """
    backend = os.environ.pop(_BACKEND, None)
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        import matplotlib.font_manager
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ[_BACKEND] = backend
    if backend:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


if "matplotlib" not in sys.modules:
    _import_matplotlib()
