"""Small sweeps on the machines of a lab, and their results."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.lab_machines import LabMachines, wait_until

# Cells of some seconds, so that there is a middle.
_EVENTS = ("--events", "20", "--interval", "0.1", "--warmup", "0")


class LabSweep:
    """A sweep of ``blocks`` networks and runs on the machines, driven from beside them."""

    def __init__(
        self,
        lab: LabMachines,
        out: Path,
        networks: int = 2,
        *words: str,
        ssh: str = "",
    ) -> None:
        """``words``: further options; ``ssh``: those of ssh."""
        self.lab = lab
        self.out = out
        sizes = ",".join(str(4 + i) for i in range(networks))
        self._words = (
            *("sweep", "--on", ",".join(lab.names), "--ssh", f"{lab.ssh} {ssh}"),
            *("--hosts", "local", "--topology", "single-switch"),
            *("--switch-hosts", sizes, *_EVENTS, "--out", str(out), *words),
        )
        self.process = self.again()

    def again(self) -> subprocess.Popen[str]:
        """Start it; its output is in ``said``."""
        self.process = subprocess.Popen(
            self.lab.perf(*self._words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.process

    def kill(self) -> None:
        """Kill the driver."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> str:
        """Wait for its end; returns its output."""
        said, _ = self.process.communicate(timeout=200)
        return said

    def wait_for_roles(self, name: str) -> None:
        """Until a cell at this machine is halfway."""
        wait_until(
            lambda: "pubsub-publishe" in programs(self.lab, name), f"a cell at {name}"
        )

    def records(self) -> dict[str, dict[str, Any]]:
        """The records, by the cells' places in the folder."""
        return {
            path.parent.relative_to(self.out / "data").as_posix(): json.loads(
                path.read_text()
            )
            for path in sorted((self.out / "data").rglob("cell.json"))
        }

    def outcomes(self) -> list[str]:
        return [record["outcome"] for record in self.records().values()]


def programs(lab: LabMachines, name: str) -> Sequence[str]:
    """The names of the processes at a machine, except sshd: on a cut link it waits for
    TCP to give up."""
    found = []
    for pid in lab.processes(name):
        try:
            name_of = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if not name_of.startswith("sshd"):
            found.append(name_of)
    return found


def machines_of_pairs(records: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """The machines that measured the two cells of each network and run."""
    found: dict[str, set[str]] = {}
    for place, record in records.items():
        _, _, rest = place.partition("/")
        found.setdefault(rest, set()).add(record["machine"]["id"])
    return found
