"""Files for roles, replaced by other kinds of files."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from support.attack_rows import attack
from support.attack_tools import Vault
from support.hostile_system import (
    BUDGET_MIB,
    HostileSystem,
    Process,
    check_served,
)
from support.ports import free_port
from support.running_roles import WAIT_S

from pubsub_common.defaults import MAX_FILE_BYTES
from pubsub_common.testing import wait_for


def enlarge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2 << 30)


SPOILT: Final[dict[str, Callable[[Path], object]]] = {
    "2 GiB": lambda path: enlarge(path),
    "a long line": lambda path: path.write_text(f'x = "{"a" * MAX_FILE_BYTES}"\n'),
    "brackets": lambda path: path.write_text(f"a = {'[' * 50_000}{']' * 50_000}\n"),
    "a dotted key": lambda path: path.write_text(f"{'.'.join('a' * 60_000)} = 1\n"),
    "dotted keys": lambda path: path.write_text(f"{'.'.join('a' * 1000)} = 1\n" * 500),
    "digits": lambda path: path.write_text(f"a = {'9' * 500_000}\n"),
    "no text": lambda path: path.write_bytes(os.urandom(100_000)),
    "a pipe": lambda path: os.mkfifo(path, 0o600),
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a folder": lambda path: path.mkdir(0o700),
    "a loop": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: path.symlink_to("nowhere"),
}


KEPT: Final = "keeping the previous"


def clear(path: Path) -> None:
    """Remove everything at a path."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


def spoil(path: Path, kind: str) -> None:
    """Replace a file with something else."""
    clear(path)
    SPOILT[kind](path)
    if path.is_file():
        path.chmod(0o600)


@attack(
    what="a policy of 2 GiB, with many brackets or key parts, or a pipe, a device or "
    "a link",
    got="the previous policy stays in force, one line has the reason (others wait "
    "{wait} at most)",
    bound="`MAX_FILE_BYTES`",
)
@pytest.mark.parametrize("keys", ["secure"], indirect=True)
def test_what_is_no_policy(hostile: HostileSystem) -> None:
    assert hostile.vault is not None
    broker = hostile.broker("--lease", 300)
    heart = hostile.heart()
    policy = hostile.vault.folder / "policy.toml"
    good = policy.read_text()
    broker.remember_memory()
    longest = 0.0
    for kind in SPOILT:
        heart.figures()
        with said_anew(broker, f"policy.toml.*; {KEPT} policy|policy file is gone"):
            spoil(policy, kind)
        hostile.talker("bob").registered(hostile.registration("subscriber", "A"))
        longest = max(longest, check_served(heart))
        with said_anew(broker, "reloaded keys and policy"):
            clear(policy)
            policy.write_text(good)

    hostile.figures.seconds("wait", longest)
    assert broker.grown_mib() < BUDGET_MIB
    assert broker.end() == 0


@attack(
    what="the same for the list of enrolled clients",
    got="the previous clients stay enrolled, one line has the reason",
    bound="`MAX_CLIENT_LIST_BYTES`",
)
@pytest.mark.parametrize("keys", ["secure"], indirect=True)
def test_what_is_no_list_of_clients(hostile: HostileSystem) -> None:
    assert hostile.vault is not None
    broker = hostile.broker("--lease", 300)
    clients = hostile.vault.folder / "clients.toml"
    good = clients.read_text()
    for kind in SPOILT:
        if kind == "a long line":
            continue  # of 1 MiB, which is no longer than that of many clients
        with said_anew(broker, f"; {KEPT}ly enrolled clients"):
            spoil(clients, kind)
        hostile.talker("bob").registered(hostile.registration("subscriber", "A"))
        with said_anew(broker, "reloaded keys and policy"):
            clear(clients)
            clients.write_text(good)
            clients.chmod(0o600)
    assert broker.end() == 0


@contextlib.contextmanager
def said_anew(broker: Process, pattern: str) -> Iterator[None]:
    """In this block the broker must log this line."""
    before = len(broker.err)
    yield
    wait_for(lambda: re.search(pattern, broker.err[before:]), pattern)


def ended(
    folder: Path, script: str, *words: object, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit code and standard error of a script with limits, which ends by itself."""
    path = Path(sys.executable).with_name(script)
    command = ["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh", str(path)]
    done = subprocess.run(
        [*command, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stderr


@attack(
    what="the same for a configuration file, or `PUBSUB_CONFIG`",
    got="one line and exit code 2",
    bound="`MAX_FILE_BYTES`",
)
@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_no_file_of_settings(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pubsub.toml"
    spoil(path, kind)
    script = "pubsub-broker" if len(kind) % 2 else "pubsub-driver"
    words = ("--port", 0) if script == "pubsub-broker" else ("--publisher", 2)

    for said in (
        ended(tmp_path, script, *words, "--config", path),
        ended(tmp_path, script, *words, env={"PUBSUB_CONFIG": str(path)}),
    ):
        code, err = said
        assert code == 2, err
        assert err.count("\n") == 1
        assert str(path) in err
        assert len(err) < 1000


@attack(
    what="the same for a client's keys, or a broker's policy or list, at the start",
    got="one line and exit code 2",
    bound="`MAX_FILE_BYTES`",
)
@pytest.mark.parametrize("kind", [kind for kind in SPOILT if kind != "a pipe"])
def test_what_is_no_file_at_the_start(tmp_path: Path, kind: str) -> None:
    vault = Vault(tmp_path / "secure", "[clients]\n")
    spoil(vault.path("bob"), kind)
    code, err = ended(
        tmp_path,
        "pubsub-subscriber",
        *("-t", "A", "-b", f"127.0.0.1:{free_port()}", "--keys", vault.path("bob")),
    )
    assert (code, err.count("\n")) == (2, 1), err
    for name in ("policy.toml", "clients.toml"):
        spoil(vault.folder / name, kind)
        if (name, kind) == ("clients.toml", "a long line"):
            continue
        code, err = ended(
            tmp_path, "pubsub-broker", "--port", 0, "--secure", vault.folder
        )
        assert (code, err.count("\n")) == (2, 1), err


@attack(
    what="keys from an endless pipe",
    got="at most 64 KiB are read; one line and exit code 2",
)
def test_keys_by_a_pipe_without_end(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("pubsub-subscriber")
    done = subprocess.run(
        ["sh", "-c", f"yes | {script} -t A --keys /dev/stdin"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "too large, of more than 65536 bytes" in done.stderr


def test_a_signal_ends_who_waits_for_keys(tmp_path: Path) -> None:
    pipe = tmp_path / "keys"
    os.mkfifo(pipe, 0o600)
    script = Path(sys.executable).with_name("pubsub-subscriber")
    waiting = subprocess.Popen([script, "-t", "A", "--keys", pipe])
    # Its reader is there as soon as it waits.
    descriptor = os.open(pipe, os.O_WRONLY)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(WAIT_S) != 0
    os.close(descriptor)
