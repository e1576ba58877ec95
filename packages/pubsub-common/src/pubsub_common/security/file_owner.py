"""Gives files created by root to the owner of their folder.

A service has a user of its own, and its folder belongs to that user. What an administrator
makes there as root must too: nobody but its owner can read a file of keys.
"""

from __future__ import annotations

import os
from pathlib import Path


def give_to_folder_owner(descriptor: int, folder: Path) -> None:
    """Give what is open as ``descriptor``, and was just made in ``folder``, to the
    owner of the folder. Only root can, and others need not."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
