"""Options of `run` and `sweep` for the machines that run an experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError
from pubsub_perf.lab import command

USAGE: Final = f"""\
  --slurm                 run on a cluster as a Slurm job array: one task for each network
                          and run, one node for each task; results are collected here
  --sbatch WORDS          like --slurm, with additional options of sbatch, like
                          "--partition=lab --time=30"
  --on HOSTS              run on these machines (comma-separated) through ssh; one machine
                          runs both models of a network and run
  --deploy                first install the programs of this machine there, in a new venv
  --wheels DIR            with --deploy: a folder of wheels, for machines without a network
  --worker COMMAND        command that runs there [default: {command.WORKER}]
  --ssh COMMAND           command that connects, with its options [default: {command.SSH}]"""
_ONLY_WITH_ON: Final = ("--deploy", "--wheels", "--worker", "--ssh")


@dataclasses.dataclass(frozen=True, slots=True)
class Machines:
    """The machines that run an experiment, and the commands that reach them. ``deploy``
    installs our programs there first, from the folder ``wheels`` if that is given."""

    names: Sequence[str]
    ssh: str
    worker: str
    deploy: bool = False
    wheels: Path | None = None

    @classmethod
    def of(cls, options: console_script.Options) -> Self | None:
        """None without ``--on``.

        Raises:
            ConfigError: a host or command is not valid, or an option needs ``--on``.
        """
        if options["--on"] is None:
            for name in _ONLY_WITH_ON:
                if console_script.source_of(options, name):
                    raise ConfigError(f"{name} needs --on")
            return None
        deploy = options["--deploy"]
        if deploy and console_script.source_of(options, "--worker"):
            raise ConfigError("--deploy installs its own worker: omit --worker")
        if options["--wheels"] is not None and not deploy:
            raise ConfigError("--wheels needs --deploy")
        return cls(
            command.machines(options["--on"]),
            options["--ssh"],
            command.DEPLOYED_WORKER if deploy else options["--worker"],
            deploy,
            None if options["--wheels"] is None else Path(options["--wheels"]),
        )

    def commands(self) -> Mapping[str, Sequence[str]]:
        """The command that runs a worker, by machine."""
        return self._at_all(self.worker)

    def installers(self) -> Mapping[str, Sequence[str]]:
        """The command that installs our programs, by machine."""
        return self._at_all(command.INSTALLER)

    def _at_all(self, words: str) -> Mapping[str, Sequence[str]]:
        return {name: command.remote(self.ssh, name, words) for name in self.names}
