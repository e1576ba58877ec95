"""The other systems that ours is compared with: what each needs, how it is set, and what
it can do that ours cannot. Nothing of them is imported here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from pubsub_perf.bench import systems

READY_S: Final = 10.0
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
# By scripts/peers-debs.sh.
_NEWEST: Final = Path(__file__).resolve().parents[2] / ".tools" / "peers" / "bin"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerSystem:
    """A system. ``packages`` are those of PyPI that it needs, ``better_with`` those it
    does not need; ``debian`` is the Debian package of its broker, and ``program`` the
    command in it that, called in this way, tells its version. ``large_only``: small events
    are as in another one. ``settings`` says how it
    is configured here, ``gives`` what it has and ours has not."""

    module: str
    title: str
    packages: tuple[str, ...]
    better_with: tuple[str, ...] = ()
    debian: str | None = None
    program: tuple[str, ...] = ()
    direct: bool
    brokered: bool
    large_only: bool = False
    settings: str
    gives: str

    def unavailable(self, *, brokered: bool) -> str | None:
        """Why it cannot run here, with the command that installs it; else None."""
        missing = [name for name in self.packages if _version_of(name) is None]
        commands = [f"python -m pip install {' '.join(missing)}"] if missing else []
        if self.debian is not None and which(self.program[0]) is None:
            missing.append(self.program[0])
            commands.append(f"apt-get install {self.debian}")
        if missing:
            names, how = " and ".join(missing), " && ".join(commands)
            return f"{self.title} needs {names}: {how}"
        if brokered and not self.brokered:
            return f"{self.title} has no brokered mode here"
        if not brokered and not self.direct:
            return f"{self.title} has no direct mode"
        return None

    def version(self) -> str:
        """The versions of the installed packages, in one line."""
        found = [
            f"{name} {version}"
            for name in (*self.packages, *self.better_with)
            if (version := _version_of(name)) is not None
        ]
        path = which(self.program[0]) if self.program else None
        if path is not None:
            command = [path, *self.program[1:]]
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
            found.insert(0, f"{self.program[0]} {number[0] if number else '?'}")
        return ", ".join(found)


def which(program: str) -> str | None:
    """The path of a broker: the newest one, else that of this system. Debian has some where
    only root looks."""
    places = (str(_NEWEST), os.environ.get("PATH", ""), _SBIN)
    return shutil.which(program, path=os.pathsep.join(places))


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


_HERE: Final = "peer_systems"
PEER_SYSTEMS: Final = {
    "nats": PeerSystem(
        module=f"{_HERE}.nats",
        title="NATS",
        packages=("nats-py",),
        better_with=("uvloop",),
        debian="nats-server",
        program=("nats-server", "--version"),
        direct=False,
        brokered=True,
        settings="core NATS, a callback for each message, uvloop where it is installed; "
        "no limits on messages queued for a subscriber, in the server and in the client",
        gives="clusters and leaf nodes, request and reply, wildcards, accounts and TLS, "
        "and streams that are kept on disk (JetStream)",
    ),
    "mosquitto": PeerSystem(
        module=f"{_HERE}.mosquitto",
        title="Mosquitto",
        packages=("paho-mqtt",),
        debian="mosquitto",
        program=("mosquitto", "-h"),
        direct=False,
        brokered=True,
        settings="MQTT 3.1.1 with QoS 0, TCP_NODELAY on both sides, no limits on queues; "
        "the publisher has no network thread, publish() itself writes",
        gives="a standard with clients on everything, retained messages, last wills, "
        "QoS 1 and 2, wildcards, access lists and TLS",
    ),
    "redis": PeerSystem(
        module=f"{_HERE}.redis",
        title="Redis",
        packages=("redis", "hiredis"),
        debian="redis-server",
        program=("redis-server", "--version"),
        direct=False,
        brokered=True,
        settings="redis-py with hiredis; throughput in pipelines of 100, latency with "
        "plain publish; no persistence, no limit on a subscriber's output buffer",
        gives="a database beside it, patterns of topics, and streams that are kept and "
        "acknowledged",
    ),
    "zenoh": PeerSystem(
        module=f"{_HERE}.zenoh",
        title="Zenoh",
        packages=("eclipse-zenoh",),
        direct=True,
        brokered=True,
        settings="TCP with explicit endpoints, no scouting, no shared memory; reliable, "
        "a full queue blocks, express for latency only; its router is a Python process",
        gives="discovery without a broker, queries and storages, routing over several "
        "hops, key expressions, QUIC, TLS and shared memory",
    ),
    "zenoh-shm": PeerSystem(
        module=f"{_HERE}.zenoh_shm",
        title="Zenoh with shared memory",
        packages=("eclipse-zenoh",),
        direct=True,
        brokered=False,
        large_only=True,
        settings="as zenoh, with shared memory as its defaults have it: payloads over "
        "3 kB do not pass through the socket",
        gives="large payloads between processes of one machine are not copied through "
        "sockets",
    ),
}


def load(name: str) -> systems.System:
    """The module of a system."""
    return systems.load(PEER_SYSTEMS[name].module)
