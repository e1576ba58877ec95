"""Faults of the network, in private namespaces, and the program that runs them there.

Hosts are network namespaces on two bridges, with one link between the bridges::

    broker, h1, h2 --- bridge a --- bridge b --- h3, h4, we ourselves

python chaos_network.py FAULT MODEL KIND FOLDER TIMES        prints the result as JSON
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos_faults import Fault
from chaos_group_faults import clients_lease_s, group_of, group_system, no_etcd
from chaos_kinds import KINDS, PLAIN, Kind
from chaos_processes import HERE, wait_for
from chaos_restarts import SETTLE_S
from chaos_run import Result, run
from chaos_system import System

from pubsub_common.protocol.messages import Model
from pubsub_perf.hosts.namespaces import die_with_parent

_BRIDGES: Final = {
    "broker": "br-a",
    "h1": "br-a",
    "h2": "br-a",
    "h3": "br-b",
    "h4": "br-b",
}
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_TRUNK: Final = "trunk-a"
_PROBE_TIMEOUT_S: Final = 20


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Bridged:
    """The hosts. Create them inside a private network namespace, which removes
    everything at its end."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._holders: list[subprocess.Popen[bytes]] = []
        ip("link", "set", "lo", "up")
        ip("link", "add", _TRUNK, "type", "veth", "peer", "name", "trunk-b")
        for bridge, trunk in (("br-a", _TRUNK), ("br-b", "trunk-b")):
            ip("link", "add", bridge, "type", "bridge")
            ip("link", "set", bridge, "up")
            ip("link", "set", trunk, "master", bridge, "up")
        ip("addr", "add", f"{self.our_address()}/24", "dev", "br-b")
        for host in _BRIDGES:
            self._add(host)

    def address(self, host: str) -> str:
        return f"10.77.0.{1 + list(_BRIDGES).index(host)}"

    def our_address(self) -> str:
        return "10.77.0.254"

    def argv(self, host: str, argv: Sequence[object]) -> list[object]:
        return ["nsenter", f"--net=/proc/{self._pids[host]}/ns/net", "--", *argv]

    def link(self, name: str, state: str) -> None:
        """Put a host's link, or that between the bridges, ``up`` or ``down``."""
        ip("link", "set", name if name == _TRUNK else f"v-{name}", state)

    def _add(self, host: str) -> None:
        # A namespace exists while a process is in it.
        holder = subprocess.Popen(
            ["unshare", "--net", "--", "sleep", "infinity"], preexec_fn=die_with_parent
        )
        self._holders.append(holder)
        pid = self._pids[host] = holder.pid
        ours = Path("/proc/self/ns/net").readlink()
        wait_for(
            lambda: Path(f"/proc/{pid}/ns/net").readlink() != ours,
            f"the namespace of {host}",
        )
        veth = ("link", "add", f"v-{host}", "type", "veth")
        ip(*veth, "peer", "name", "eth0", "netns", str(pid))
        ip("link", "set", f"v-{host}", "master", _BRIDGES[host], "up")
        for command in (
            ["ip", "addr", "add", f"{self.address(host)}/24", "dev", "eth0"],
            ["ip", "link", "set", "eth0", "up"],
            ["ip", "link", "set", "lo", "up"],
        ):
            inside = [str(word) for word in self.argv(host, command)]
            subprocess.run(inside, check=True)


def begin(system: System) -> None:
    """A publisher and a subscriber on each side."""
    system.start_broker()
    for name, host in (("sub1", "h1"), ("sub2", "h3")):
        system.start_subscriber(name, host)
    for name, host, batch in (("pub1", "h2", 1), ("pub2", "h4", 10)):
        system.start_publisher(name, host, batch=batch)
    system.note_usage()


def begin_group(system: System) -> None:
    """A broker and clients on one side, the rest and etcd on the other."""
    group = group_of(system)
    group.start_broker()
    for name, host, broker in (("sub1", "h1", 0), ("sub2", "h3", 1), ("sub3", "h4", 2)):
        group.start_subscriber(name, host, broker=group.known([group.group[broker]]))
    for name, host, broker in (("pub1", "h2", 0), ("pub2", "h4", 1)):
        group.start_publisher(name, host, broker=group.known([group.group[broker]]))
    group.note_usage()


def cut_link(system: System, times: int) -> None:
    """The link of one host, possibly the broker's: for less than a lease, or for more."""
    for _ in range(times):
        cut(system, system.rng.choice(list(_BRIDGES)), 0.5, 2.5 * system.lease_s)


def partition(system: System, times: int) -> None:
    """The link between the two halves."""
    for _ in range(times):
        cut(system, _TRUNK, 0.5, 2.5 * system.lease_s)


def partition_for_long(system: System, times: int) -> None:
    """The same, until each half has removed the other."""
    for _ in range(times):
        given_up_s = system.lease_s + SETTLE_S
        cut(system, _TRUNK, given_up_s + 1, given_up_s + 4)


def partition_group(some: System, times: int) -> None:
    """The same for a group: until the clients of one side are removed at the other."""
    system = group_of(some)
    for _ in range(times):
        gone_s = clients_lease_s(system)
        cut(system, _TRUNK, gone_s + 2, gone_s + 5)
        system.wait_agree()


def cut(system: System, link: str, least_s: float, most_s: float) -> None:
    """Down for a random time, and up again."""
    place = system.place
    assert isinstance(place, Bridged)
    system.run_between(0.1, 0.8)
    system.owners_may_change()
    place.link(link, "down")
    system.run_between(least_s, most_s)
    place.link(link, "up")
    system.wait_flowing(told=True)


def unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    namespaces = ["--net", "--pid", "--mount", "--fork", "--kill-child"]
    return ["unshare", *user, *namespaces, "--mount-proc", "--"]


def no_networks() -> str | None:
    """The reason why there can be no private networks; None if there can."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":" + _SBIN
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            return f"there is no {program} (Debian: {package})"
    for probe in ("bridge", "veth"):
        done = subprocess.run(
            [*unshare(), "ip", "link", "add", "probe", "type", probe],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            return " ".join(done.stderr.split()) or f"status {done.returncode}"
    return None


GROUP_PARTED: Final = Fault(
    "network of a group parted for long",
    partition_group,
    times=2,
    begin=begin_group,
    new_system=functools.partial(group_system, hosts=("broker", "h3", "h4")),
    unavailable=lambda: no_networks() or no_etcd(),
    system={"subscribers": 3},
)
NETWORK_FAULTS: Final = (
    Fault("link cut", cut_link, times=4, begin=begin, unavailable=no_networks),
    Fault("network parted", partition, times=3, begin=begin, unavailable=no_networks),
    Fault(
        "network parted for long",
        partition_for_long,
        times=1,
        begin=begin,
        unavailable=no_networks,
    ),
    GROUP_PARTED,
)


def run_in_namespaces(
    fault: Fault,
    model: Model,
    folder: Path,
    *,
    kind: Kind = PLAIN,
    times: int | None = None,
) -> Result:
    """Like `chaos_run.run`, with the hosts of this module."""
    words = (fault.name, model, kind.name, str(folder), str(times or ""))
    done = subprocess.run(
        [*unshare(), sys.executable, __file__, *words],
        stdout=subprocess.PIPE,
        timeout=280,
        check=True,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        preexec_fn=die_with_parent,
    )
    return Result(**json.loads(done.stdout))


if __name__ == "__main__":
    name, model_name, kind_name, folder_name, times_word = sys.argv[1:]
    (chosen,) = (fault for fault in NETWORK_FAULTS if fault.name == name)
    (kind,) = (kind for kind in KINDS if kind.name == kind_name)
    model: Model = "centralized" if model_name == "centralized" else "decentralized"
    result = run(
        chosen,
        model,
        Path(folder_name),
        kind=kind,
        place=Bridged(),
        times=int(times_word) if times_word else None,
    )
    print(json.dumps(dataclasses.asdict(result)))
