"""The options for other machines, of the commands that run experiments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, Self

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError
from pubsub_perf.lab import command

USAGE: Final = f"""\
  --on HOSTS              run on these machines, with commas, by ssh; both models of a
                          network and run are on one of them
  --worker COMMAND        what runs there [default: {command.WORKER}]
  --ssh COMMAND           what reaches them, with its options [default: {command.SSH}]"""
_ONLY_WITH_ON: Final = ("--worker", "--ssh")


@dataclasses.dataclass(frozen=True, slots=True)
class Machines:
    """The machines that run an experiment, and how they are reached."""

    names: Sequence[str]
    ssh: str
    worker: str

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
        return cls(
            command.machines(options["--on"]),
            options["--ssh"],
            options["--worker"],
        )

    def commands(self) -> Mapping[str, Sequence[str]]:
        """The words that run a worker at each machine."""
        return {
            name: command.remote(self.ssh, name, self.worker) for name in self.names
        }
