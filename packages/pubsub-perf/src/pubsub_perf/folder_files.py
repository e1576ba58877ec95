"""Files in the folder of a sweep, which may have come from somebody else.

No path leads out of it: files are read only inside it, and nothing is written through a
link. Pipes and devices are not opened (`pubsub_common.files`).
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Final

# A record has some kilobytes for each host.
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
# A row of a data file has some 40 bytes, so these are 25 million events.
MAX_DATA_BYTES: Final = 1024 * 1024 * 1024
# Of all files in a pack, unpacked: some 400 million events.
MAX_UNPACKED_BYTES: Final = 16 * 1024 * 1024 * 1024
# A run has two files for each subscriber: 20 runs of 36 cells with 256 hosts have less.
MAX_PACKED_FILES: Final = 500_000
# A page has all its figures in it.
MAX_PAGE_BYTES: Final = 256 * 1024 * 1024


def leads_out(path: Path, folder: Path) -> bool:
    """Whether ``path``, which is in ``folder``, is a link to somewhere else."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return True


def make_folder(folder: Path, *names: str) -> Path:
    """Make the folder ``names[0] / names[1] / …`` below ``folder``, where need be; returns it.

    Raises:
        OSError: it cannot be made, or one of them is a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        folder /= name
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink():
            raise OSError(
                errno.ELOOP, f"{folder} is a link, and nothing is written through it"
            )
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, f"{folder} is not a folder")
    return folder
