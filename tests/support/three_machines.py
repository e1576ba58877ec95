"""Three machines for a page's commands: network namespaces with their own folders.

The commands run at 10.0.0.254. They reach 10.0.0.1, 10.0.0.2 and 10.0.0.3 with ``ssh``
and ``scp``, substitutes that enter the namespaces. Files that a machine writes to /etc,
/opt and /var are visible only there. ``systemctl`` there starts and ends etcd like
Debian's unit, and the broker like the project's unit.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.needed_programs import needs_programs
from support.paths import ROOT

_UNIT: Final = ROOT / "scripts/systemd/pubsub-broker.service"
_PROGRAMS: Final = Path(sys.executable).parent
_STATE: Final = "/var/lib"

# The second line: process 1 is this script's own, so that process numbers are those of /proc.
_NETWORK: Final = """
set -eu
[ "$(readlink /proc/1/ns/net)" = "$(readlink /proc/self/ns/net)" ]
[ "$(readlink /proc/self/ns/net)" != "$OUTER_NETWORK" ]
mount -t tmpfs tmpfs "$MACHINES"
ip link set lo up
ip link add br0 type bridge
ip addr add 10.0.0.254/24 dev br0
ip link set br0 up
for number in 1 2 3; do
    host=10.0.0.$number
    here=$MACHINES/$host
    mkdir "$here"
    mkfifo "$here/ready"
    unshare --net --mount sh -eu -c '
        for folder in etc opt var; do
            mkdir "$0/$folder" "$0/$folder.work"
            mount -t overlay overlay /$folder -o \\
                "lowerdir=/$folder,upperdir=$0/$folder,workdir=$0/$folder.work"
        done
        echo $$ > "$0/ready"
        exec sleep infinity' "$here" &
    read -r guest < "$here/ready"
    echo "$guest" > "$here/process"
    ip link add "to$number" type veth peer name eth0 netns "$guest"
    ip link set "to$number" master br0 up
    nsenter --net --target "$guest" sh -eu -c "
        ip link set lo up
        ip addr add $host/24 dev eth0
        ip link set eth0 up"
done
export PATH="$STAND_INS:$PATH"
exec bash -eu "$1"
"""

_SSH: Final = """#!/bin/bash
# ssh root@HOST COMMAND...
here=$MACHINES/${1#root@}
shift
exec nsenter --net --mount --target "$(cat "$here/process")" --wd=/ -- \\
    env MACHINE="$here" bash -c "$*"
"""

_SCP: Final = """#!/bin/bash
# scp [-r] FILE... root@HOST:PLACE
set -eu
[ "$1" != -r ] || shift
last=${!#}
here=$MACHINES/$(expr "$last" : 'root@\\([^:]*\\):')
tar --create --file - "${@:1:$#-1}" > "$here/sent"
exec nsenter --mount --target "$(cat "$here/process")" --wd=/ -- bash -eu -c '
    folder=$(mktemp -d); tar --extract --no-same-owner --file "$0" -C "$folder"
    cp -r "$folder"/* "$1"' "$here/sent" "${last#*:}"
"""

# `--no-block` and `enable` ask for nothing more here.
_SYSTEMCTL: Final = """#!/bin/bash
# systemctl enable --now|start|restart|stop [--no-block] UNIT
set -eu
unit=${!#}
if [ "$1" != enable ] && [ "$1" != start ] && [ -s "$MACHINE/$unit.pid" ]; then
    pid=$(cat "$MACHINE/$unit.pid")
    kill "$pid"
    while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
    rm "$MACHINE/$unit.pid"
fi
[ "$1" != stop ] || exit 0
case $unit in
etcd)
    mkdir -p /var/lib/etcd
    chown etcd: /var/lib/etcd
    as_etcd="setpriv --reuid etcd --regid etcd --init-groups"
    env $(cat /etc/default/etcd) $as_etcd etcd >> "$MACHINE/etcd.log" 2>&1 &
    echo $! > "$MACHINE/etcd.pid"
    ;;
pubsub-broker)
    mkdir -p /var/lib/pubsub-broker
    sh -c "$(unit_command ExecStart)" >> "$MACHINE/broker.log" 2>&1 &
    echo $! > "$MACHINE/pubsub-broker.pid"
    sh -c "$(unit_command ExecStartPost)"
    ;;
esac
"""

_UNIT_COMMAND: Final = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from support.three_machines import unit_command
print(unit_command(sys.argv[1], open("/etc/default/pubsub-broker").read()))
"""


def unit_command(name: str, settings: str) -> str:
    """The command of the broker's unit for a shell, with the variables from
    /etc/default."""
    unit = _UNIT.read_text()
    set_there = re.findall("^Environment=(.*)$", unit, re.M)
    given = [word for line in set_there for word in shlex.split(line)]
    given += settings.splitlines()
    variables = {word.partition("=")[0]: word.partition("=")[2] for word in given}
    words: list[str] = []
    for word in re.findall(f"^{name}=(.*)$", unit, re.M)[0].split():
        one = re.fullmatch(r"\$\{(\w+)\}", word)
        many = re.fullmatch(r"\$(\w+)", word)
        if one:
            words.append(variables[one[1]])
        else:
            words += variables[many[1]].split() if many else [word]
    text = shlex.join(["exec", *words])
    return text.replace("%S", _STATE).replace("/opt/pubsub/bin", str(_PROGRAMS))


# The commands of `_NETWORK` that a container may forbid.
_PROBE: Final = """
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work"
mount -t overlay overlay /opt -o "lowerdir=/opt,upperdir=$0/upper,workdir=$0/work"
ip link add br0 type bridge
"""


def _forbidden(folder: Path) -> str:
    """The reason why the kernel does not allow such machines; empty if it does."""
    words = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc")
    done = subprocess.run(
        [*words, "sh", "-eu", "-c", _PROBE, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""


def needs_machines(folder: Path) -> None:
    """Skip the test if such machines are impossible, with a reason; fail under CI if
    programs are missing."""
    needs_programs(("etcd", "etcdctl", "openssl", "ip", "nsenter", "unshare"))
    if os.geteuid() != 0:
        pytest.skip("only root can make machines with users")
    if reason := _forbidden(folder):
        pytest.skip(f"no machines in this container: {reason}")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in the network of the three machines; all processes end with
    it. If it fails, the logs of the machines are appended to its standard error."""
    machines, stand_ins, work = (
        folder / name for name in ("machines", "stand-ins", "work")
    )
    for each in (machines, stand_ins, work):
        each.mkdir()
    for name, text in (
        ("ssh", _SSH),
        ("scp", _SCP),
        ("systemctl", _SYSTEMCTL),
        ("unit_command", _UNIT_COMMAND),
    ):
        (stand_ins / name).write_text(text)
        (stand_ins / name).chmod(0o755)
    (folder / "network").write_text(_NETWORK)
    (folder / "script").write_text(script)
    logs = 'code=$?; [ $code = 0 ] || tail -n 5 "$MACHINES"/*/*.log >&2; exit $code'
    return subprocess.run(
        [
            *("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"),
            *(
                "--kill-child",
                "bash",
                "-c",
                f"bash {folder}/network {folder}/script; {logs}",
            ),
        ],
        cwd=work,
        env=os.environ
        | {
            "PATH": f"{_PROGRAMS}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "MACHINES": str(machines),
            "STAND_INS": str(stand_ins),
            "OUTER_NETWORK": str(Path("/proc/self/ns/net").readlink()),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
