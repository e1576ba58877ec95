"""Import Mininet on Pythons without ``distutils`` or ``Logger.warn``.

Mininet 2.3.0.dev6 imports ``distutils.version``, which Python 3.12 removed, and
calls ``Logger.warn``, which is deprecated. It needs neither for what we do.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import types
import warnings

from pubsub_common.text.ascii_numbers import is_digits


def prepare() -> None:
    """Make ``import mininet.net`` work, and keep Mininet from changing the machine."""
    if not hasattr(logging.Logger, "warn"):
        logging.Logger.warn = logging.Logger.warning  # type: ignore[method-assign,unused-ignore]
    if importlib.util.find_spec("distutils") is None:
        version = types.ModuleType("distutils.version")
        version.StrictVersion = _StrictVersion  # type: ignore[attr-defined]
        sys.modules.setdefault("distutils", types.ModuleType("distutils"))
        sys.modules.setdefault("distutils.version", version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mininet.net import Mininet
    # Mininet.init raises limits of the whole machine (file descriptors, neighbour
    # tables, ptys), which then stay. We do with less: see hosts/mininet.py.
    Mininet.inited = True


class _StrictVersion:
    """Only used by Mininet to compare Open vSwitch versions."""

    def __init__(self, text: str) -> None:
        self.key = tuple(int(part) for part in text.split(".") if is_digits(part))

    def __lt__(self, other: _StrictVersion) -> bool:
        return self.key < other.key
