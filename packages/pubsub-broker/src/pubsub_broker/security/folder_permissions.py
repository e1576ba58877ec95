"""Checks that no other user can write to the folder of the broker's keys.

With write access to the folder a user could enroll itself, even if every file is
private: it can replace a file.
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
    """Check that the folder belongs to the current user or to root, and that no other
    user may write to it or replace it.

    Raises:
        ConfigError: other users may, or the folder cannot be read.
    """
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            # for example where secrets are mounted into a container; read-only for all
            return
        found = folder.stat()
        above = [path for path in folder.resolve().parents if _open_to_all(path)]
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}") from None
    if found.st_mode & _CHANGE:
        # Even with the sticky bit, as another user could add a policy.
        raise ConfigError(
            f"other users can write to {folder}, and enroll themselves: "
            f"chmod go-w {quote(str(folder))}"
        )
    if not _trusted(found):
        raise ConfigError(
            f"{folder} belongs to another user, which can enroll any client: "
            f"sudo chown -R {os.geteuid()} {quote(str(folder))}"
        )
    if above:
        raise ConfigError(
            f"other users can replace {folder}: chmod o-w {quote(str(above[0]))}"
        )


def check_file_owner(path: Path, found: os.stat_result) -> None:
    """Check that a file of the folder, with the stat result ``found``, belongs to the
    current user or to root. On a read-only file system it may belong to any user.

    Raises:
        ConfigError: it belongs to another user.
    """
    if not _trusted(found) and not os.statvfs(path).f_flag & os.ST_RDONLY:
        raise ConfigError(
            f"{path} belongs to another user, which can change it: "
            f"sudo chown {os.geteuid()} {quote(str(path))}"
        )


def _trusted(found: os.stat_result) -> bool:
    user = os.geteuid()
    return found.st_uid in (_ROOT, user) or user == _ROOT


def _open_to_all(path: Path) -> bool:
    """Whether any user may rename files in it. Groups are not checked, as many systems
    give each user its own group, with write access to all its folders."""
    mode = path.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
