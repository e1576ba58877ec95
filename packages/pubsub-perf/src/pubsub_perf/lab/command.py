"""The commands that reach a machine, and what runs there."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError

SSH: Final = "ssh"
WORKER: Final = "pubsub-perf worker"
# Of `pubsub_perf.lab.deploy`, wherever the other end has its home.
_DEPLOYED: Final = "${XDG_CACHE_HOME:-$HOME/.cache}/pubsub-perf/venv/bin/pubsub-perf"
DEPLOYED_WORKER: Final = f"exec sh -c 'exec \"{_DEPLOYED}\" worker'"
# What it runs comes through standard input; a Python like ours, if there is one. In one line and
# without "!", as shells differ.
_READ: Final = (
    'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed"); '
    "given = sys.stdin.buffer; exec(given.read(int(given.readline())))"
)
_OURS: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
INSTALLER: Final = "exec sh -c " + shlex.quote(
    f"for python in {_OURS} python3; do "
    'if "$python" -c "" 2> /dev/null; '
    f'then exec "$python" -c {shlex.quote(_READ)}; fi; done; '
    "echo there is no python3 >&2; exit 1"
)
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
