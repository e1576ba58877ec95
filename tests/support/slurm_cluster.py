"""A cluster of Slurm on one machine: network namespaces, two of them as nodes.

The controller and the two nodes ``d1`` and ``d2`` are real programs of Slurm; each node has a host
name, a network and a lock for sweeps of its own. A script runs next to the controller, like a
user's commands on the machine that submits jobs. The script sees the files in the folder
``$HIDDEN``, and the nodes do not. Tasks have their temporary files in ``$TMPDIR``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.needed_programs import needs_programs

_PROGRAMS: Final = Path(sys.executable).parent
_SLURM: Final = ("slurmctld", "slurmd", "sbatch", "munged")

# The first line: nothing is done outside of namespaces.
_CLUSTER: Final = """
[ "$(readlink /proc/self/ns/net)" != "$OUTER_NETWORK" ]
mount -t tmpfs tmpfs "$CLUSTER"
cd "$CLUSTER"
ip link set lo up
ip link add br0 type bridge
ip addr add 10.0.0.254/24 dev br0
ip link set br0 up
mkdir -m 700 munge
head -c 1024 /dev/urandom > munge/key
chmod 400 munge/key
munged --force --socket="$PWD/munge/socket" --key-file="$PWD/munge/key" \\
    --pid-file="$PWD/munge/pid" --log-file="$PWD/munge/log" --seed-file="$PWD/munge/seed" \\
    2> munge/said
cat > slurm.conf <<END
ClusterName=test
SlurmctldHost=$(hostname)(10.0.0.254)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$PWD/munge/socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,batch_sched_delay=0
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool-%n
SlurmctldPidFile=$PWD/slurmctld.pid
SlurmdPidFile=$PWD/slurmd-%n.pid
SlurmctldLogFile=$PWD/slurmctld.log
SlurmdLogFile=$PWD/slurmd-%n.log
NodeName=d1 NodeHostname=d1 NodeAddr=10.0.0.1 CPUs=1
NodeName=d2 NodeHostname=d2 NodeAddr=10.0.0.2 CPUs=1
PartitionName=all Nodes=d1,d2 Default=YES
END
mkdir state tmp
export TMPDIR=$PWD/tmp SLURM_CONF=$PWD/slurm.conf
slurmctld -c
for number in 1 2; do
    mkfifo "ready$number" "go$number"
    unshare --net --mount --uts sh -eu -c '
        hostname "d$1"
        mount -t tmpfs tmpfs "$HIDDEN"
        echo $$ > "ready$1"
        read -r go < "go$1"
        slurmd -N "d$1"
        exec sleep infinity' - "$number" &
    read -r guest < "ready$number"
    echo "$guest" > "node$number"
    ip link add "to$number" type veth peer name eth0 netns "$guest"
    ip link set "to$number" master br0 up
    nsenter --net --target "$guest" sh -eu -c "
        ip link set lo up
        ip addr add 10.0.0.$number/24 dev eth0
        ip link set eth0 up"
    echo go > "go$number"
done
until [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ]; do sleep 0.1; done
cd "$WORK"
"""

_PROBE: Final = """
mount -t tmpfs tmpfs "$0"
ip link add br0 type bridge
"""
# The first line: all ends with this process, whatever ends it.
_NAMESPACES: Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
    "--mount-proc",
)


def needs_slurm(folder: Path) -> None:
    """Skip the test where there can be no such cluster, and say why; fail under CI if programs
    are missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    needs_programs(_SLURM, path, "scripts/slurm-debs.sh")
    if os.geteuid() != 0:
        pytest.skip("only root can run Slurm's daemons as nodes of their own")
    done = subprocess.run(
        [*_NAMESPACES, "sh", "-eu", "-c", _PROBE, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no namespaces in this container: {done.stderr.strip()}")


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of bash, in ``folder / "work"``, beside the cluster; all processes end with
    it. ``folder / "hidden"`` is the folder that nodes do not see. Where it fails, the logs of
    Slurm are appended to its standard error."""
    cluster, hidden, work = (folder / name for name in ("cluster", "hidden", "work"))
    for each in (cluster, hidden, work):
        each.mkdir()
    logs = 'code=$?; [ $code = 0 ] || tail -n 20 "$CLUSTER"/*.log >&2'
    return subprocess.run(
        [
            *_NAMESPACES,
            "bash",
            "-eu",
            "-c",
            f"trap '{logs}' EXIT\n{_CLUSTER}\n{script}",
        ],
        env=os.environ
        | {
            "PATH": f"{_PROGRAMS}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "CLUSTER": str(cluster),
            "HIDDEN": str(hidden),
            "WORK": str(work),
            "OUTER_NETWORK": str(Path("/proc/self/ns/net").readlink()),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
