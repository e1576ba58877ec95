"""Tests that need programs of the machine, or rare modules, are skipped with a reason
if these are missing. Under CI they fail, because a skipped test there could stay
unnoticed."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable

import pytest


def needs_programs(
    names: Iterable[str], path: str | None = None, installed_by: str = ""
) -> None:
    """Skip the test where one of these is missing on ``path``, by default that of the
    environment; ``installed_by`` says what installs them."""
    missing = [name for name in names if shutil.which(name, path=path) is None]
    if not missing:
        return
    _skip(f"programs are missing: {', '.join(missing)}", installed_by)


def needs_module(name: str, installed_by: str) -> None:
    """Skip the test where this module is missing."""
    if importlib.util.find_spec(name) is None:
        _skip(f"the module {name} is missing", installed_by)


def _skip(reason: str, installed_by: str) -> None:
    if installed_by:
        reason += f" ({installed_by})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
