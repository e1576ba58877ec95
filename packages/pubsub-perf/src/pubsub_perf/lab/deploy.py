"""Copies our programs to the machines of a lab, through the ``ssh`` that reaches their workers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from pubsub_common.errors import ConfigError
from pubsub_perf import __version__
from pubsub_perf.experiment import one_sweep
from pubsub_perf.lab import remote_install
from pubsub_perf.lab.machines import Say
from pubsub_perf.lab.wheels import constraints, wheels

# The exit code of ssh itself; others are the machine's.
_NO_WAY: Final = 255
_TAIL_BYTES: Final = 4000


def deploy(
    commands: Mapping[str, Sequence[str]], dependencies: Path | None, say: Say
) -> None:
    """Install our programs on all machines at once. ``commands`` run `command.INSTALLER`, by
    machine; ``dependencies`` is a folder with wheels of their dependencies, for machines without
    a network. Machines that cannot be reached are skipped.

    Raises:
        ConfigError: a machine cannot install them, or a wheel cannot be read.
    """
    say(
        f"installing pubsub-perf {__version__} as it is here at {', '.join(commands)}, in a "
        "venv of its own there (~/.cache/pubsub-perf)"
    )
    parcel = parcel_of(dependencies)
    running: list[subprocess.Popen[bytes]] = []
    with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
        ways = {
            name: pool.submit(_install, argv, parcel, running)
            for name, argv in commands.items()
        }
        try:
            wrong = {name: way.result() for name, way in ways.items()}
        except BaseException:  # an interrupt: the other ends stop with ssh
            for process in running:
                process.kill()
            raise
    for name, why in wrong.items():
        if why is not None:
            raise ConfigError(f"{name}: {why}")


def parcel_of(dependencies: Path | None) -> bytes:
    """The input of the installer: its own text, the request, and the wheels.

    Raises:
        ConfigError: ``dependencies`` has no wheels, or one cannot be read.
    """
    files = {
        **wheels(),
        remote_install.CONSTRAINTS: constraints().encode(),
        **(_dependencies(dependencies) if dependencies is not None else {}),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    whole = archive.getvalue()
    asked = {
        "bytes": len(whole),
        "state": hashlib.sha256(whole).hexdigest(),
        "lock": one_sweep.lock_name(),
    }
    text = Path(remote_install.__file__).read_bytes()
    return b"%d\n%s%s\n%s" % (len(text), text, json.dumps(asked).encode(), whole)


def _dependencies(folder: Path) -> dict[str, bytes]:
    try:
        found = {
            f"{remote_install.DEPENDENCIES}/{path.name}": path.read_bytes()
            for path in sorted(folder.glob("*.whl"))
        }
    except OSError as error:
        raise ConfigError(f"wheels: {folder}: {error.strerror or error}") from error
    if not found:
        raise ConfigError(f"wheels: no wheels in {folder}")
    return found


def _install(
    argv: Sequence[str], parcel: bytes, running: list[subprocess.Popen[bytes]]
) -> str | None:
    """Install at one machine; why it cannot."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return f"{argv[0]}: {error.strerror or error}"
        running.append(process)
        assert process.stdin is not None
        # Open until the other end is done, which ends with it.
        with contextlib.suppress(OSError), process.stdin:
            process.stdin.write(parcel)
            process.stdin.flush()
            process.wait()
        code = process.wait()
        if code in (0, _NO_WAY):
            return None
        return _last_line(errors) or f"nothing could be installed ({code})"


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(max(0, errors.seek(0, 2) - _TAIL_BYTES))
    said = errors.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(said) if line.strip()), "")
