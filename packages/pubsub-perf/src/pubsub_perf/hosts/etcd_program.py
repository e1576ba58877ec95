"""The command line of a private etcd member, and a check for the program."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
_PROGRAM: Final = "etcd"
# Where administrators' programs are, which is not on every user's PATH.
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclasses.dataclass(frozen=True, slots=True)
class EtcdMember:
    """One member: where it listens, without keys; its data are in the folder ``data``."""

    name: str
    address: str
    data: Path
    client_port: int = CLIENT_PORT
    peer_port: int = PEER_PORT

    @property
    def client_url(self) -> str:
        """Where brokers reach it."""
        return f"http://{self.address}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where other members reach it."""
        return f"http://{self.address}:{self.peer_port}"


def command(member: EtcdMember, members: Sequence[EtcdMember] = ()) -> list[str]:
    """The command line of ``member`` in a new cluster of ``members``; in one of its own
    without them."""
    together = members or (member,)
    cluster = ",".join(f"{each.name}={each.peer_url}" for each in together)
    return [
        _PROGRAM,
        f"--name={member.name}",
        f"--data-dir={member.data}",
        f"--listen-client-urls={member.client_url}",
        f"--advertise-client-urls={member.client_url}",
        f"--listen-peer-urls={member.peer_url}",
        f"--initial-advertise-peer-urls={member.peer_url}",
        f"--initial-cluster={cluster}",
        # Otherwise etcd keeps every change forever.
        *("--auto-compaction-mode=periodic", "--auto-compaction-retention=5m"),
        *("--logger=zap", "--log-level=warn"),
    ]


def registry_url(members: Sequence[EtcdMember]) -> str:
    """What a broker's ``--registry`` takes."""
    places = (f"{each.address}:{each.client_port}" for each in members)
    return f"etcd://{','.join(places)}"


def unavailable() -> str | None:
    """Why etcd cannot run here, with the command that installs it; None when it can."""
    where = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"
    if shutil.which(_PROGRAM, path=where) is None:
        return "etcd is missing; on Debian or Ubuntu: apt-get install etcd-server"
    return None
