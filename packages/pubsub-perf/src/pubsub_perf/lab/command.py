"""The command that reaches a worker."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError

SSH: Final = "ssh"
WORKER: Final = "pubsub-perf worker"
# What OpenSSH itself takes for a host, with a user, or as a name in ~/.ssh/config; never an option.
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%@+-]*")
# No question can be answered; a dead machine is noticed after 15 s; no second log-in is shared,
# whose end would end this one.
_OPTIONS: Final = (
    *("-T", "-x", "-a"),
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
)


def machines(text: str) -> list[str]:
    """``lab1,root@lab2`` as names for ssh, each once.

    Raises:
        ConfigError: there is none, or one of them cannot be a host.
    """
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        if not _HOST.fullmatch(name):
            raise ConfigError(f"{name!r} is no host for ssh")
        if found.count(name) > 1:
            raise ConfigError(f"{name} is given twice")
    if not found:
        raise ConfigError("on: no host is given")
    return found


def remote(ssh: str, machine: str, command: str) -> list[str]:
    """The words that run ``command`` at a machine; ``ssh`` is a program with options.

    Raises:
        ConfigError: ``ssh`` is no command.
    """
    return [*_words(ssh), *_OPTIONS, "--", machine, command]


def _words(text: str) -> Sequence[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"ssh: {text!r} is no command ({error})") from None
    if not words:
        raise ConfigError("ssh: no command is given")
    return words
