"""Runs this program again inside private namespaces.

Mininet makes interfaces, bridges and processes that outlive a crash. In network, PID
and mount namespaces of its own, the kernel removes them all when the first process
in there ends, however it ends. With a user namespace no root is needed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli.signals import ending_signals
from pubsub_common.errors import PubSubError

_MARK: Final = "PUBSUB_PERF_ISOLATED"
# The program, and its Debian package.
TOOLS: Final = {
    "mnexec": "mininet",
    "brctl": "bridge-utils",
    "ip": "iproute2",
    "tc": "iproute2",
    "ifconfig": "net-tools",
    "sysctl": "procps",
    "ping": "iputils-ping",
    "unshare": "util-linux",
}
# An ordinary user's PATH lacks these.
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_PROBE_TIMEOUT_S: Final = 20
_PR_SET_PDEATHSIG: Final = 1


def unavailable() -> str | None:
    """Why Mininet cannot run here, in one line; None when it can."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":" + _SBIN
    lacking = {deb for tool, deb in TOOLS.items() if shutil.which(tool) is None}
    if lacking:
        return (
            "programs are missing; on Debian or Ubuntu: "
            f"apt-get install --no-install-recommends {' '.join(sorted(lacking))}"
        )
    # Mininet's first step. If mnexec failed, Mininet would wait forever.
    probe = ["mnexec", "-n", "ip", "link", "set", "lo", "up"]
    try:
        done = subprocess.run(
            [*_unshare(), *probe],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "a process in private namespaces did not answer"
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split()) or f"status {done.returncode}"
    return f"no private namespaces ({said}); as root it may work"


def inside() -> bool:
    """Whether this process runs in the namespaces already."""
    return os.environ.get(_MARK) == "1"


def enter(argv: Sequence[str]) -> None:
    """Return inside the namespaces. Outside, run ``python argv`` in there, wait for
    it and exit as it did.

    Raises:
        PubSubError: namespaces are not available here.
    """
    if inside():
        _set_up_inside()
        return
    if reason := unavailable():
        raise PubSubError(f"Mininet cannot run here: {reason}")
    outer = subprocess.Popen(
        [*_unshare(), sys.executable, *argv],
        env=os.environ | {_MARK: "1"},
        # Out of the terminal's reach: what it sends comes once, through us.
        start_new_session=True,
        preexec_fn=die_with_parent,
    )

    def forward(number: int, _frame: object) -> None:
        # To the inner process itself: unshare ignores SIGINT and SIGTERM.
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        inner = children.read_text().split()
        for pid in inner:
            os.kill(int(pid), number)
        if not inner:
            outer.kill()

    for number in ending_signals():
        signal.signal(number, forward)
    code = outer.wait()
    raise SystemExit(code if code >= 0 else 128 - code)


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    namespaces = ["--net", "--pid", "--mount", "--fork", "--kill-child"]
    return ["unshare", *user, *namespaces, "--mount-proc", "--"]


def _set_up_inside() -> None:
    # Programs on the hosts are not us.
    del os.environ[_MARK]
    # The first process of a PID namespace has no default action for signals.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def die_with_parent() -> None:
    """For a child between fork and exec: end when the parent does, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
