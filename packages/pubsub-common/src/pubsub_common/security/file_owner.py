"""Gives files created by root to the owner of their folder.

A service has its own user, which owns its folder. Files that an administrator makes
there as root must belong to that user too: only the owner of a file of keys can read
it.
"""

from __future__ import annotations

import os
from pathlib import Path


def give_to_folder_owner(descriptor: int, folder: Path) -> None:
    """Give the file open as ``descriptor``, just made in ``folder``, to the owner of
    the folder. Only root can do this, and other users need not."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
