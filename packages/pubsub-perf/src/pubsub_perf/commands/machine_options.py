"""The options that say where an experiment is run, of the commands that run some."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError
from pubsub_perf.lab import command

USAGE: Final = f"""\
  --slurm                 run on a cluster, as a job array of Slurm: a task for each
                          network and run, a node for each task; the results are
                          collected here
  --sbatch WORDS          the same, with further options of sbatch, like
                          "--partition=lab --time=30"
  --on HOSTS              run on these machines, with commas, by ssh; both models of a
                          network and run are on one of them
  --deploy                first install there what runs here, in a venv of its own
  --wheels DIR            with --deploy: wheels of what it needs, for machines without a network
  --worker COMMAND        what runs there [default: {command.WORKER}]
  --ssh COMMAND           what reaches them, with its options [default: {command.SSH}]"""
_ONLY_WITH_ON: Final = ("--deploy", "--wheels", "--worker", "--ssh")


@dataclasses.dataclass(frozen=True, slots=True)
class Machines:
    """The machines that run an experiment, and how they are reached. ``deploy``: our programs
    are installed there first; ``wheels``: a folder with what they need."""

    names: Sequence[str]
    ssh: str
    worker: str
    deploy: bool = False
    wheels: Path | None = None

    @classmethod
    def of(cls, options: console_script.Options) -> Self | None:
        """None without ``--on``.

        Raises:
            ConfigError: an option is no host or command, or is one that needs ``--on``.
        """
        if options["--on"] is None:
            for name in _ONLY_WITH_ON:
                if console_script.source_of(options, name):
                    raise ConfigError(f"{name} needs --on")
            return None
        deploy = options["--deploy"]
        if deploy and console_script.source_of(options, "--worker"):
            raise ConfigError("--deploy brings a worker of its own: without --worker")
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
        """The words that run a worker at each machine."""
        return self._at_all(self.worker)

    def installers(self) -> Mapping[str, Sequence[str]]:
        """The words that install our programs at each machine."""
        return self._at_all(command.INSTALLER)

    def _at_all(self, words: str) -> Mapping[str, Sequence[str]]:
        return {name: command.remote(self.ssh, name, words) for name in self.names}
