"""Files of keys that must not be used, and the errors of programs: one line, no secret."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from support.attack_rows import attack
from support.attack_tools import Vault
from support.ports import free_port
from support.running_roles import WAIT_S, Program

import pubsub_broker.cli
import pubsub_publisher.cli
import pubsub_subscriber.cli
from pubsub_common.security.keys import new_key_pair

Run = Callable[..., Program]
Call = Callable[..., "Called"]
Spoil = Callable[[Path], None]


def readable_by_others(path: Path) -> None:
    path.chmod(0o644)


def readable_by_the_group(path: Path) -> None:
    path.chmod(0o640)


def missing(path: Path) -> None:
    path.unlink()


def not_toml(path: Path) -> None:
    path.write_text(path.read_text().replace('secret = "', "secret = [", 1))


def not_even_text(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00")


def halves_of_two_pairs(path: Path) -> None:
    lines = path.read_text().splitlines()
    other = f'public = "{new_key_pair().public}"'
    path.write_text(
        "\n".join(other if line.startswith("public") else line for line in lines)
    )


def secret_cut_off(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(
            line[:-9] + '"' if line.startswith("secret") else line for line in lines
        )
    )


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("a") as file:
        file.write("# " + "x" * 100_000)


def empty(path: Path) -> None:
    path.write_text("")


SPOILT: dict[Spoil, str] = {
    readable_by_others: "holds secrets, and others may read or change it: chmod 600 {}",
    readable_by_the_group: "holds secrets, and others may read or change it: chmod 600 {}",
    missing: "No such file or directory",
    not_toml: "{}: not TOML",
    not_even_text: "{}: not TOML",
    halves_of_two_pairs: "{}: the public key does not belong to the secret key",
    secret_cut_off: "{}: secret is not a key of 40 characters",
    a_folder: "cannot read {}: it is not a plain file",
    a_device: "cannot read {}: it is not a plain file",
    huge: "cannot read {}: it is too large",
    empty: "{}: public is not a key of 40 characters",
}


MAINS: Final = {
    "pubsub-broker": pubsub_broker.cli.main,
    "pubsub-publisher": pubsub_publisher.cli.main,
    "pubsub-subscriber": pubsub_subscriber.cli.main,
}


@dataclasses.dataclass(frozen=True)
class Called:
    """The result of a console script that ran in this process."""

    name: str
    code: int
    out: str
    err: str

    def wait(self) -> int:
        return self.code


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs console scripts in this process, as a process of its own takes half a
    second."""

    def called(name: str, *argv: object) -> Called:
        code = MAINS[name](list(map(str, argv)))
        return Called(name, code, *capsys.readouterr())

    return called


def complaint_of(program: Program | Called, secret: str, code: int = 2) -> str:
    """The one line of a program that could not start."""
    assert program.wait() == code
    assert program.out == ""
    assert program.err.count("\n") == 1
    name, _, line = program.err.rstrip("\n").partition(": ")
    assert name.split()[0] == program.name  # and perhaps which command of it
    assert "Traceback" not in line
    # Nor a part of it that is long enough to be useful.
    assert not any(secret[at : at + 8] in line for at in range(len(secret) - 8))
    return line


@attack(
    what="files of keys that other users can read, or that are not regular files",
    got="rejected, no secret is shown",
)
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("script", ["pubsub-publisher", "pubsub-subscriber"])
def test_a_clients_file_that_must_not_be_used_is_one_line_and_exit_2(
    call: Call, tmp_path: Path, script: str, spoil: Spoil
) -> None:
    vault = Vault(tmp_path / "secure")
    path = vault.path("bob")
    secret = vault.keys("bob").pair.secret
    spoil(path)
    program = call(script, "-t", "A", "--broker-port", 1, "--keys", path)
    expected = SPOILT[spoil].format(path)
    if spoil in (a_folder, a_device):
        expected = f"cannot read {path}: it is neither a plain file nor a pipe"
    assert expected in complaint_of(program, secret)


@pytest.mark.parametrize("script", MAINS)
def test_a_program_says_one_line_and_ends_with_2(
    run: Run, tmp_path: Path, script: str
) -> None:
    vault = Vault(tmp_path / "secure")
    name = "broker" if script == "pubsub-broker" else "bob"
    path = vault.path(name)
    readable_by_others(path)
    words: tuple[object, ...] = ("-t", "A", "--broker-port", 1, "--keys", path)
    if name == "broker":
        words = ("--port", 0, "--secure", vault.folder)
    secret = path.read_text().split('secret = "')[1][:40]
    expected = SPOILT[readable_by_others].format(path)
    assert expected in complaint_of(run(script, *words), secret)


def by_a_pipe(
    source: str, file: Path, name: str, *argv: object, given_by: str = "words"
) -> subprocess.Popen[str]:
    """A console script with keys from a shell's process substitution."""
    script = Path(sys.executable).with_name(name)
    line = {
        "words": 'exec "$@" --keys <($source "$file")',
        "environment": 'PUBSUB_KEYS=<($source "$file") exec "$@"',
    }[given_by]
    return subprocess.Popen(
        ["bash", "-c", line, "bash", script, *map(str, argv)],
        env={**os.environ, "source": source, "file": str(file)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_keys_may_come_by_a_pipe(run: Run, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secure")
    port = free_port()
    broker = run("pubsub-broker", "--port", port, "--secure", vault.folder)
    broker.says("broker on")
    common = ("-t", "A", "--broker-port", port, "-m", 2)
    hearer = by_a_pipe("cat", vault.path("bob"), "pubsub-subscriber", *common)
    teller = by_a_pipe(
        *("cat", vault.path("alice"), "pubsub-publisher", *common),
        *("--bind-port", 0, "-s", 0.01, "--wait-for", 1),
    )
    for program in (teller, hearer):
        said, complaint = program.communicate(timeout=WAIT_S)
        assert program.returncode == 0, said + complaint
    assert "2 events received, 0 lost" in said + complaint


@pytest.mark.parametrize("given_by", ["words", "environment"])
def test_the_driver_hands_keys_from_a_pipe_on_to_all_that_it_starts(
    run: Run, tmp_path: Path, given_by: str
) -> None:
    vault = Vault(tmp_path / "secure")
    port = free_port()
    broker = run("pubsub-broker", "--port", port, "--secure", vault.folder)
    broker.says("broker on")
    words = ("-pub", 2, "-t", "A", "--broker-port", port, "-m", 1)
    driver = by_a_pipe(
        "cat", vault.path("alice"), "pubsub-driver", *words, given_by=given_by
    )

    said, complaint = driver.communicate(timeout=WAIT_S)
    assert (driver.returncode, said) == (0, "")
    for line in complaint.splitlines():
        assert line.startswith("pubsub-publisher: nobody subscribed to A; ")
    assert broker.err.count("(alice) joined: A") == 2


def test_the_driver_says_once_what_is_wrong_with_keys_from_a_pipe(
    tmp_path: Path,
) -> None:
    vault = Vault(tmp_path / "secure")
    driver = by_a_pipe(
        "head -c 20", vault.path("bob"), "pubsub-driver", "-sub", 2, "-t", "A"
    )
    said, complaint = driver.communicate(timeout=WAIT_S)
    assert (driver.returncode, said) == (2, "")
    assert complaint.startswith("pubsub-driver: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [("false", "nothing came by the pipe"), ("head -c 20", "public is not a key")],
)
def test_a_pipe_without_keys_is_one_line_and_exit_2(
    tmp_path: Path, source: str, expected: str
) -> None:
    vault = Vault(tmp_path / "secure")
    words = ("pubsub-subscriber", "-t", "A", "--broker-port", 1)
    program = by_a_pipe(source, vault.path("bob"), *words)
    said, complaint = program.communicate(timeout=WAIT_S)
    assert (program.returncode, said) == (2, "")
    assert complaint.count("\n") == 1
    assert expected in complaint


@attack(
    what="the same in the broker's folder",
    got="rejected, no secret is shown",
)
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_brokers_file_that_must_not_be_used_is_one_line_and_exit_2(
    call: Call, tmp_path: Path, spoil: Spoil
) -> None:
    vault = Vault(tmp_path / "secure")
    path = vault.folder / "broker.keys"
    secret = vault.store.pair().secret
    spoil(path)
    program = call("pubsub-broker", "--port", 0, "--secure", vault.folder)
    expected = SPOILT[spoil].format(path)
    if spoil is missing:
        expected = f"no broker's keys in {vault.folder}; pubsub-broker keygen"
    assert expected in complaint_of(program, secret)


@pytest.mark.parametrize("name", ["clients.toml", "policy.toml"])
def test_a_list_or_policy_that_cannot_be_read_keeps_the_broker_from_starting(
    call: Call, tmp_path: Path, name: str
) -> None:
    vault = Vault(tmp_path / "secure", "[clients]\n")
    path = vault.folder / name
    path.write_text("[clients.x\n")
    program = call("pubsub-broker", "--port", 0, "--secure", vault.folder)
    line = complaint_of(program, vault.store.pair().secret)
    assert line.startswith(f"{path}: not TOML (")
    assert "line 1" in line


@attack(
    what="a policy that any user of the machine can change",
    got="rejected",
)
def test_a_policy_that_anybody_can_change_keeps_the_broker_from_starting(
    call: Call, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "secure", "[clients]\n")
    path = vault.folder / "policy.toml"
    path.chmod(0o666)
    program = call("pubsub-broker", "--port", 0, "--secure", vault.folder)
    line = complaint_of(program, vault.store.pair().secret)
    assert line == f"other users can change {path}: chmod go-w {path}"


@attack(
    what="self-enrollment in a folder that any user of the machine can write to",
    got="rejected",
)
def test_a_folder_that_anybody_can_write_in_keeps_everything_from_starting(
    call: Call, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "secure")
    secret = vault.store.pair().secret
    vault.folder.chmod(0o777)
    for words in (("--port", 0), ("enroll", "eve"), ("revoke", "bob")):
        program = call("pubsub-broker", *words, "--secure", vault.folder)
        assert complaint_of(program, secret) == (
            f"other users can write to {vault.folder}, and enroll themselves: "
            f"chmod go-w {vault.folder}"
        )


@attack(
    what="enrollment with the key of the broker, or of another client",
    got="rejected",
)
def test_nobody_is_enrolled_with_the_key_of_the_broker_or_another(
    call: Call, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "secure")
    for key, code, said in (
        (vault.broker, 2, "this is the broker's own key: give that of the client"),
        (vault.keys("bob").pair.public, 1, "bob is enrolled with this key already"),
    ):
        program = call(
            *("pubsub-broker", "enroll", "eve", "--secure", vault.folder),
            f"--public={key}",
        )
        assert complaint_of(program, vault.store.pair().secret, code) == said
    assert "eve" not in vault.store.clients()


def test_keygen_makes_files_that_only_their_owner_can_read(
    run: Run, tmp_path: Path
) -> None:
    made = run("pubsub-broker", "keygen", tmp_path / "secure", "alice", "bob")
    assert made.wait() == 0
    files = sorted(path.name for path in (tmp_path / "secure").iterdir())
    assert files == [".lock", "alice.keys", "bob.keys", "broker.keys", "clients.toml"]
    assert (tmp_path / "secure").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "secure").iterdir():
        if path.name != ".lock":
            assert path.stat().st_mode & 0o777 == 0o600, path
            assert path.stat().st_uid == os.getuid()
    for path in (tmp_path / "secure").glob("*.keys"):
        secret = path.read_text().split('secret = "')[1][:40]
        assert secret not in made.out + made.err


def test_keygen_never_replaces_keys(call: Call, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secure")
    secret = vault.store.pair().secret
    again = call("pubsub-broker", "keygen", vault.folder)
    line = complaint_of(again, secret, 1)
    assert (
        line == f"{vault.folder / 'broker.keys'} is there already, and is not replaced"
    )
    assert vault.store.pair().secret == secret


@attack(
    what="a client's name with a path out of the folder",
    got="refused",
)
@pytest.mark.parametrize(
    "name", ["../bob", "a/b", "", ".hidden", "a b", 'x"\n', "ä" * 3]
)
def test_a_name_cannot_lead_out_of_the_folder_or_into_its_files(
    call: Call, tmp_path: Path, name: str
) -> None:
    vault = Vault(tmp_path / "secure")
    before = sorted(tmp_path.rglob("*"))
    program = call("pubsub-broker", "enroll", name, "--secure", vault.folder)
    line = complaint_of(program, vault.store.pair().secret)
    assert "is not a name for a client" in line or (not name and "NAME" in line)
    assert sorted(tmp_path.rglob("*")) == before
