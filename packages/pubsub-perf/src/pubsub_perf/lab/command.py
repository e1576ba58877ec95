"""The commands that connect to a machine, and the commands that run there."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError

SSH: Final = "ssh"
WORKER: Final = "pubsub-perf worker"
# The worker of `pubsub_perf.lab.deploy`, in any home folder.
_DEPLOYED: Final = "${XDG_CACHE_HOME:-$HOME/.cache}/pubsub-perf/venv/bin/pubsub-perf"
DEPLOYED_WORKER: Final = f"exec sh -c 'exec \"{_DEPLOYED}\" worker'"
# Runs a program from standard input, with the same Python version if possible. In one line and
# without "!", because shells differ.
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
# A host for OpenSSH, with a user, or a name in ~/.ssh/config; never an option.
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%@+-]*")
# No prompts, because nobody can answer; a dead machine is detected after 15 s; no shared
# connection, because its end would end this one.
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
        ConfigError: there is no host, or a host is not valid.
    """
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        if not _HOST.fullmatch(name):
            raise ConfigError(f"{name!r} is not a valid host for ssh")
        if found.count(name) > 1:
            raise ConfigError(f"{name} is given twice")
    if not found:
        raise ConfigError("on: no host is given")
    return found


def remote(ssh: str, machine: str, command: str) -> list[str]:
    """The words that run ``command`` on a machine; ``ssh`` is a program with options.

    Raises:
        ConfigError: ``ssh`` is not a valid command.
    """
    return [*_words(ssh), *_OPTIONS, "--", machine, command]


def _words(text: str) -> Sequence[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"ssh: {text!r} is not a valid command ({error})") from None
    if not words:
        raise ConfigError("ssh: no command is given")
    return words
