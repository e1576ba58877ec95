"""The commit of a folder's git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

# Enough for a large repository on a slow disk; an unknown commit does no harm.
_TIMEOUT_S: Final = 10


def commit_of(folder: Path, tracked: str | None = None) -> str | None:
    """The commit checked out in ``folder``, with ``-dirty`` after changes of files; None if git
    does not know it. With ``tracked``, the repository must track that file of the folder: an
    installed package may lie inside another repository.
    """
    if (
        tracked is not None
        and _git(folder, "ls-files", "--error-unmatch", tracked) is None
    ):
        return None
    # The commit alone, because tags may move.
    words = ("--always", "--dirty", "--abbrev=40", "--exclude=*")
    return _git(folder, "describe", *words) or None


def _git(folder: Path, *words: str) -> str | None:
    """The output of git; None if git fails or is missing."""
    # In a git hook these variables name another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
