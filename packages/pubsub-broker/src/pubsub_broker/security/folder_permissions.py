"""Checks that nobody else can write where the broker's keys are.

A user that may write in the folder can enroll itself, though every file in it is for its
owner only: it can replace a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote
from typing import Final

from pubsub_common.errors import ConfigError

_CHANGE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0


def check_folder(folder: Path) -> None:
    """Check that the folder belongs to the user that runs this, or to root, and that no
    other user may write in it, or replace it.

    Raises:
        ConfigError: others may, or it cannot be looked at.
    """
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return  # as where secrets are mounted into a container; nobody may
        found = folder.stat()
        above = [path for path in folder.resolve().parents if _open_to_all(path)]
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}") from None
    if found.st_mode & _CHANGE:
        # Also where it is sticky, as one file more can be a policy.
        raise ConfigError(
            f"others may write in {folder}, and so enroll themselves: "
            f"chmod go-w {quote(str(folder))}"
        )
    if not _trusted(found):
        raise ConfigError(
            f"{folder} belongs to another user, who can enroll any client: "
            f"sudo chown -R {os.geteuid()} {quote(str(folder))}"
        )
    if above:
        raise ConfigError(
            f"others may put another folder in the place of {folder}: "
            f"chmod o-w {quote(str(above[0]))}"
        )


def check_file_owner(path: Path, found: os.stat_result) -> None:
    """Check that a file of the folder, which was ``found`` so, belongs to the user that
    runs this, or to root. Where nobody can write, it may belong to anybody.

    Raises:
        ConfigError: it belongs to another user.
    """
    if not _trusted(found) and not os.statvfs(path).f_flag & os.ST_RDONLY:
        raise ConfigError(
            f"{path} belongs to another user, who may change it: "
            f"sudo chown {os.geteuid()} {quote(str(path))}"
        )


def _trusted(found: os.stat_result) -> bool:
    user = os.geteuid()
    return found.st_uid in (_ROOT, user) or user == _ROOT


def _open_to_all(path: Path) -> bool:
    """Whether anybody may rename what is in it. Not asked of groups, as many systems
    give each user one of its own, which may write in all the user's folders."""
    mode = path.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
