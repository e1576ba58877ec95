"""The commit of a folder's git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

# Of a large repository on a slow disk; a commit that is not known does no harm.
_TIMEOUT_S: Final = 10


def commit_of(folder: Path, tracked: str | None = None) -> str | None:
    """The commit that is checked out in ``folder``, with ``-dirty`` where files were changed
    since; None when git does not know. With ``tracked``, the repository must have that file of
    the folder: a package that is installed lies in the repository of somebody else.
    """
    if (
        tracked is not None
        and _git(folder, "ls-files", "--error-unmatch", tracked) is None
    ):
        return None
    # Nothing but the commit: no name of a tag that may move.
    words = ("--always", "--dirty", "--abbrev=40", "--exclude=*")
    return _git(folder, "describe", *words) or None


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None when it fails, or is not there."""
    # Those of a hook that this runs in name another repository.
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
