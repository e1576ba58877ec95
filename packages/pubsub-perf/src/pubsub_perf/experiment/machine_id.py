"""A random id of this machine, stored here, which separates the results of several machines.
Host names change, and copied machines have the same name.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
from pathlib import Path
from typing import Final

from pubsub_common.files import write_atomically

_ID: Final = re.compile(r"[0-9a-f]{16}")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def machine_id() -> str:
    """The id of this machine; if it cannot be stored, the kernel's boot id."""
    with contextlib.suppress(OSError, RuntimeError):  # no home
        path = _path()
        if kept := _kept(path):
            return kept
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{secrets.token_hex(8)}\n".encode())
        if kept := _kept(path):
            return kept
    with contextlib.suppress(OSError):
        return f"boot-{_BOOT.read_text().strip()}"
    return platform.node()


def _path() -> Path:
    """The host name is in it, because machines may share their home folders."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    host = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "unnamed"
    return Path(state, "pubsub-perf", f"machine-{host}")


def _kept(path: Path) -> str | None:
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    return text if _ID.fullmatch(text) else None
