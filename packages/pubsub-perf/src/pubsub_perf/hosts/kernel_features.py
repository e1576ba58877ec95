"""Tells which features for emulated networks this kernel has."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from pubsub_perf.plan.cases import Load

_OPENVSWITCH: Final = "openvswitch"
_BRIDGES: Final = Path("/proc/sys/net/bridge")


def asked_of_netem(load: Load) -> str:
    """The properties of links that need netem, as text."""
    asked = (
        (load.delay_ms, "a delay of {:g} ms"),
        (load.jitter_ms, "a jitter of {:g} ms"),
        (load.loss_percent, "a loss of {:g} %"),
    )
    return ", ".join(text.format(value) for value, text in asked if value)


@functools.cache
def netem_unavailable() -> str | None:
    """Why a link cannot be delayed; None when it can. Tries it on the loopback of
    this (private) network namespace."""
    add = subprocess.run(
        ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        capture_output=True,
        text=True,
        check=False,
    )
    if add.returncode == 0:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
        return None
    said = " ".join(add.stderr.split())
    return f"this kernel has no netem queueing discipline ({said})"


@functools.cache
def openvswitch_unavailable() -> str | None:
    """Why switches cannot be those of Open vSwitch; None when they could."""
    if not _has_module(_OPENVSWITCH):
        return "this kernel has no Open vSwitch module"
    if shutil.which("ovs-vsctl") is None:
        return "the Open vSwitch programs are missing (Debian: openvswitch-switch)"
    return None


def keep_frames_from_netfilter(folder: Path = _BRIDGES) -> bool | None:
    """Make the bridges of this (private) network namespace switch frames without the
    firewall's hooks, as a switch does. By default each bridge on the path passes a frame
    through them as if it routed it, although there are no rules: 0.4 us a bridge and frame.

    Returns whether frames still pass the hooks; None if this kernel has none for bridges.
    """
    found = [
        folder / f"bridge-nf-call-{table}"
        for table in ("arptables", "ip6tables", "iptables")
    ]
    found = [path for path in found if path.exists()]
    for path in found:
        with contextlib.suppress(OSError):  # it needs root in some kernels
            path.write_text("0\n")
    return any(path.read_text().strip() != "0" for path in found) if found else None


def _has_module(name: str) -> bool:
    """Whether a kernel module is loaded, built in, or there to be loaded."""
    if Path("/sys/module", name).exists():
        return True
    folder = Path("/lib/modules", os.uname().release)
    lists = [folder / "modules.builtin", folder / "modules.dep"]
    return any(
        f"/{name}.ko" in path.read_text(errors="replace")
        for path in lists
        if path.is_file()
    )
