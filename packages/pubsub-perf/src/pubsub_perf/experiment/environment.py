"""The versions, commits, kernel and machine that a cell ran on."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pubsub_perf.experiment.git_commit import commit_of
from pubsub_perf.experiment.machine_id import machine_id

_PACKAGES: Final = (
    "pubsub-common",
    "pubsub-broker",
    "pubsub-publisher",
    "pubsub-subscriber",
    "pubsub-perf",
    "pyzmq",
    "msgspec",
)
_CPUS: Final = Path("/sys/devices/system/cpu")


@functools.cache
def describe() -> dict[str, Any]:
    """Versions, commits, kernel and machine; for ``cell.json``. Commits are those of the
    programs, if they run from a repository, and of the working directory."""
    import zmq

    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions |= {"python": platform.python_version(), "libzmq": zmq.zmq_version()}
    pages = os.sysconf("SC_PHYS_PAGES")
    return {
        "versions": versions,
        "commits": {
            "pubsub": commit_of(Path(__file__).parent, Path(__file__).name),
            "folder": commit_of(Path.cwd()),
        },
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine": {
            "host": platform.node(),
            "id": machine_id(),
            "cpus": os.cpu_count(),
            "cores": cores(),
            "cpu_model": cpu_model(),
            "governor": governor(),
            "memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        },
    }


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The name of the processor; None if the kernel does not report it."""
    lines = [line.partition(":") for line in _text(cpuinfo).splitlines()]
    named = {key.strip().lower(): value.strip() for key, _, value in reversed(lines)}
    for key in ("model name", "cpu model", "model", "hardware"):
        if named.get(key):
            return named[key]
    return platform.processor() or None


def cores(folder: Path = _CPUS) -> int | None:
    """The number of cores, each with one or more CPUs; None if the kernel does not report
    it."""
    found = {_text(path) for path in folder.glob("cpu[0-9]*/topology/core_cpus_list")}
    found.discard("")
    return len(found) or None


def governor(folder: Path = _CPUS) -> str | None:
    """The frequency governors of the processors; None without any, as in most virtual
    machines."""
    paths = folder.glob("cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(_distinct(map(_text, paths))) or None


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted({text for text in texts if text})


def _text(path: Path) -> str:
    """The text of a kernel file; empty if the file does not exist."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
