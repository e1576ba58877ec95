"""Machines of a lab for tests: network namespaces, each with an sshd, and a network between them
that can be cut. The kernel ends all processes in them with the first one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from pubsub_common.testing import wait_for
from pubsub_perf.hosts.namespaces import die_with_parent
from support.needed_programs import needs_programs

_PROGRAMS: Final = Path(sys.executable).parent
_PATH: Final = f"{_PROGRAMS}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
_NEEDED: Final = ("ssh", "sshd", "ssh-keygen", "ip", "nsenter", "unshare")

# "$0" is the lab's folder, "$@" are the machines. Each has a namespace for mounts too, as sshd
# wants a folder in /run.
_NETWORK: Final = """
set -eu
ip link set lo up
ip link add br0 type bridge
ip addr add 10.0.0.254/24 dev br0
ip link set br0 up
number=0
for machine in "$@"; do
    number=$((number + 1))
    unshare --net --mount sh -eu -c '
        ip link set lo up
        mount -t tmpfs tmpfs /run
        mkdir /run/sshd
        exec sleep infinity' &
    guest=$!
    while [ "$(readlink /proc/$guest/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do
        sleep 0.01
    done
    ip link add "to$number" type veth peer name eth0 netns "$guest"
    ip link set "to$number" master br0 up
    nsenter --net --target "$guest" ip addr add "10.0.0.$number/24" dev eth0
    nsenter --net --target "$guest" ip link set eth0 up
    echo "$guest" > "$0/$machine.guest"
done
touch "$0/made"
exec sleep infinity
"""

_SSHD: Final = """
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
SetEnv {environment} XDG_STATE_HOME={folder}/{machine}/state TMPDIR={folder}/{machine}/tmp \
XDG_CACHE_HOME={folder}/{machine}/cache
"""

_SSH: Final = """
Host *
    User root
    IdentityFile {folder}/user_key
    IdentitiesOnly yes
    StrictHostKeyChecking accept-new
    UserKnownHostsFile {folder}/known_hosts
    LogLevel ERROR
"""


def needs_lab(folder: Path) -> None:
    """Skip the test if such machines are impossible, with a reason; fail under CI if
    programs are missing."""
    needs_programs(_NEEDED, _PATH, "scripts/ssh-debs.sh")
    if os.geteuid() != 0:
        pytest.skip("only root can make machines with users")
    probe = 'mount -t tmpfs tmpfs "$0" && ip link add br0 type bridge'
    words = ("unshare", "--net", "--mount", "sh", "-c", probe, str(folder))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no machines in this container: {done.stderr.strip()}")


# Connections by ssh, and cells of several processes, are slow on a busy machine.
wait_until = functools.partial(wait_for, timeout_s=60.0)


class LabMachines:
    """Machines with these names, at 10.0.0.1 and on, and a driver's place at 10.0.0.254."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str] = ("lab1", "lab2"),
        environment: str = f"PATH={_PATH}",
    ) -> None:
        """``environment``: for programs that ssh runs there."""
        self.names = tuple(names)
        self._environment = environment
        self.folder = folder
        self._sshds: dict[str, subprocess.Popen[bytes]] = {}
        self._driver = 0

    def __enter__(self) -> Self:
        for name in ("host_key", "user_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"]
            subprocess.run([*words, str(self.folder / name)], check=True)
        hosts = "".join(
            f"Host {name}\n    HostName 10.0.0.{i}\n"
            for i, name in enumerate(self.names, 1)
        )
        (self.folder / "ssh_config").write_text(hosts + _SSH.format(folder=self.folder))
        self._network = subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
                *("--mount-proc", "sh", "-c", _NETWORK, str(self.folder), *self.names),
            ],
            env=os.environ | {"PATH": _PATH},
            preexec_fn=die_with_parent,
        )
        try:
            wait_until((self.folder / "made").exists, "the machines")
            self._driver = _children(self._network.pid)[0]
            for name in self.names:
                self.start_sshd(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes in them."""
        self._network.kill()
        self._network.wait()
        for each in self._sshds.values():
            each.wait()

    @property
    def ssh(self) -> str:
        """A command that reaches them, from the driver's place."""
        return f"ssh -F {self.folder}/ssh_config"

    def start_sshd(self, name: str) -> None:
        for place in ("state", "tmp", "cache"):
            (self.folder / name / place).mkdir(parents=True, exist_ok=True)
        config = self.folder / name / "sshd_config"
        config.write_text(
            _SSHD.format(
                folder=self.folder, machine=name, environment=self._environment
            )
        )
        sshd = shutil.which("sshd", path=_PATH)
        assert sshd is not None
        log = str(self.folder / name / "sshd.log")
        self._sshds[name] = subprocess.Popen(
            self._inside(name, [sshd, "-D", "-f", str(config), "-E", log])
        )
        wait_until(lambda: self._answers(name), f"sshd of {name}")

    def kill_sshd(self, name: str) -> None:
        """Kill sshd, and its processes for connections."""
        listeners = _children(self._sshds[name].pid)
        for pid in (*listeners, *self.processes(name)):
            if _program(pid).startswith("sshd"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
        self._sshds[name].wait()

    def set_link(self, name: str, state: str) -> None:
        """``up`` or ``down``: the link of a machine."""
        words = ["ip", "link", "set", f"to{self.names.index(name) + 1}", state]
        subprocess.run(self.at_driver(words), check=True)

    def at_driver(self, words: Sequence[str]) -> list[str]:
        """A command to run at the driver's place."""
        return ["nsenter", "--net", "--target", str(self._driver), "--", *words]

    def perf(self, *words: str) -> list[str]:
        """A command of pubsub-perf to run at the driver's place."""
        return self.at_driver([str(_PROGRAMS / "pubsub-perf"), *words])

    def at_machine(self, name: str, words: Sequence[str]) -> list[str]:
        """A command to run at a machine by hand."""
        return self._inside(name, words)

    def processes(self, name: str) -> list[int]:
        """The processes of a machine, in its network or in one that was made there,
        except sshd itself."""
        mine = _network_of(self._guest(name))
        sshd = self._sshds[name].pid
        own = {self._guest(name), sshd, *_children(sshd)}
        there = [p for p in _all_processes() if _network_of(p) == mine]
        below = [child for pid in there for child in _descendants(pid)]
        return [pid for pid in dict.fromkeys((*there, *below)) if pid not in own]

    def _guest(self, name: str) -> int:
        inner = (self.folder / f"{name}.guest").read_text().strip()
        for pid in _descendants(self._network.pid):
            status = Path(f"/proc/{pid}/status").read_text()
            numbers = next(x for x in status.split("\n") if x.startswith("NSpid"))
            if numbers.split()[-1] == inner:
                return pid
        raise AssertionError(f"{name} is gone")

    def _inside(self, name: str, words: Sequence[str]) -> list[str]:
        target = str(self._guest(name))
        spaces = ("--net", "--mount", "--pid")
        return ["nsenter", *spaces, "--target", target, "--", *words]

    def _answers(self, name: str) -> bool:
        words = [*self.ssh.split(), "-o", "BatchMode=yes", name, "true"]
        done = subprocess.run(
            self.at_driver(words), capture_output=True, check=False, timeout=30
        )
        return done.returncode == 0


def _all_processes() -> Iterator[int]:
    return (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())


def _network_of(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _descendants(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [child, *_descendants(child)]
    return found
