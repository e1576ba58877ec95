"""The seed's performance test classes: one cell a call, from a user's own script.

Both stand on `pubsub-perf sweep`, which they run as a process of its own, because
Mininet needs namespaces that this process is not in.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from pubsub_common.protocol.messages import Model
from pubsub_perf.experiment.cell_runner import read_record
from pubsub_perf.experiment.sweep import cell_folder
from pubsub_perf.hosts import HostError
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import MODELS, WAIT_FACTOR, Case, Load
from pubsub_perf.plan.topologies import Network


class _PerformanceTest:
    model: ClassVar[Model]

    def __init__(
        self,
        num_events: int = 50,
        event_interval: float = 0.1,
        wait_factor: float = WAIT_FACTOR,
        *,
        out: str | Path = "sweeps/performance-test",
        hosts: str = "auto",
        secure: bool = False,
    ) -> None:
        """``num_events`` events per publisher, one every ``event_interval`` seconds.
        ``out`` is the folder for results, ``hosts`` is mininet, local or auto. With
        ``secure`` everything is encrypted, with keys that are made for it.

        Raises:
            ConfigError: a value cannot work.
        """
        self.num_events = num_events
        self.event_interval = event_interval
        self.wait_factor = wait_factor
        self.out = Path(out)
        self.hosts = hosts
        self.secure = secure
        self._load().validate()

    def setWaitFactor(self, factor: float) -> None:
        """A cell may take ``factor`` times its planned length, ``num_events *
        event_interval``; it ends as soon as every subscriber has its file.

        Raises:
            ConfigError: the factor is not more than 0.
        """
        self.wait_factor = factor
        self._load().validate()

    def test_tree_topology(self, depth: int = 2, fanout: int = 2) -> dict[str, Any]:
        """Measure a tree of switches with ``fanout ** depth`` hosts; returns the
        cell's record (the content of its ``cell.json``).

        Raises:
            ConfigError: the tree has too few or too many hosts.
            HostError: the cell failed; the text says why.
        """
        network = topologies.tree(depth, fanout)
        return self._run(
            network, ["--topology=tree", f"--depth={depth}", f"--fanout={fanout}"]
        )

    def test_single_switch_topology(self, num_hosts: int = 3) -> dict[str, Any]:
        """Measure ``num_hosts`` hosts on one switch; returns the cell's record.

        Raises:
            ConfigError: too few or too many hosts.
            HostError: the cell failed; the text says why.
        """
        network = topologies.single_switch(num_hosts)
        return self._run(
            network, ["--topology=single-switch", f"--switch-hosts={num_hosts}"]
        )

    def _load(self) -> Load:
        return Load(
            events=self.num_events,
            interval_s=self.event_interval,
            wait_factor=self.wait_factor,
            secure=self.secure,
        )

    def _run(self, network: Network, axes: list[str]) -> dict[str, Any]:
        command = [
            *(sys.executable, "-m", "pubsub_perf", "sweep", *axes),
            f"--model={self.model}",
            f"--events={self.num_events}",
            f"--interval={self.event_interval!r}",
            f"--wait-factor={self.wait_factor!r}",
            f"--hosts={self.hosts}",
            f"--out={self.out}",
            "--force",
            *(["--secure"] if self.secure else []),
        ]
        done = subprocess.run(command, check=False)
        case = Case(self.model, network, self._load())
        record = read_record(cell_folder(self.out, case), self.out)
        if done.returncode or record is None or record.get("outcome") != "ok":
            reason = record.get("reason") if record else None
            raise HostError(
                f"{case.name} failed: {reason or f'exit code {done.returncode}'}"
            )
        return record


class CentralizedPerformanceTest(_PerformanceTest):
    """Measures systems in which the broker forwards the events."""

    model = MODELS[0]


class DecentralizedPerformanceTest(_PerformanceTest):
    """Measures systems in which the broker is only a registry."""

    model = MODELS[1]
