"""The messages of console scripts about wrong keys: one clear line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.attack_tools import Vault
from support.ports import free_port
from support.running_roles import Program

from pubsub_common.testing import wait_for

Run = Callable[..., Program]
ROLES = {
    "publisher": ("pubsub-publisher", "-t", "A", "-i"),
    "subscriber": ("pubsub-subscriber", "-t", "A", "-i", "-c"),
}


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> Sequence[str]:
    return ROLES[request.param]


def start_broker(run: Run, *argv: object) -> tuple[Program, int]:
    port = free_port()
    program = run("pubsub-broker", "-c", "--port", port, *argv)
    program.says(f"broker on 127.0.0.1:{port}")
    return program, port


def start_client(run: Run, role: Sequence[str], port: int, *argv: object) -> Program:
    name, *words = role
    ports = ("-bp", free_port()) if name == "pubsub-publisher" else ()
    return run(name, *words, "--broker-port", port, *ports, *argv)


def test_an_unknown_key(run: Run, tmp_path: Path, role: Sequence[str]) -> None:
    vault, other = Vault(tmp_path / "secure"), Vault(tmp_path / "other")
    path = other.path("bob")
    text = path.read_text().replace(other.broker, vault.broker)
    path.write_text(text)
    broker, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port, "--keys", path)
    assert client.wait() == 1
    assert client.complaint == (
        f"the broker at 127.0.0.1:{port} rejects the keys of {path}: they are "
        "not enrolled there, or were revoked or have expired (pubsub-broker list shows it, "
        "enroll makes new ones)"
    )
    broker.says("127.0.0.1: rejected an unknown key (")


def test_revoked_keys(run: Run, tmp_path: Path, role: Sequence[str]) -> None:
    vault = Vault(tmp_path / "secure")
    vault.revoke("bob")
    broker, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port, "--keys", vault.path("bob"))
    assert client.wait() == 1
    assert f"rejects the keys of {vault.path('bob')}: " in client.complaint
    broker.says("127.0.0.1: rejected bob, revoked")


def test_keys_that_are_revoked_while_a_client_runs(
    run: Run, tmp_path: Path, role: Sequence[str]
) -> None:
    vault = Vault(tmp_path / "secure")
    broker, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port, "--keys", vault.path("bob"))
    broker.says("joined")
    done = run("pubsub-broker", "revoke", "bob", "--secure", vault.folder)
    assert done.wait() == 0
    assert done.out == "bob is revoked\n"
    assert client.wait() == 1
    assert client.err.splitlines()[-1] == (
        f"{client.name}: the broker ended the registration: this client's keys were "
        "revoked or have expired"
    )
    assert "Traceback" not in client.err
    broker.says("no longer authorized")


def test_no_keys_for_a_secure_broker(
    run: Run, tmp_path: Path, role: Sequence[str]
) -> None:
    vault = Vault(tmp_path / "secure")
    _, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port)
    assert client.wait() == 1
    assert client.complaint == (
        f"the broker at 127.0.0.1:{port} requires keys: give this program its file with "
        "--keys FILE or PUBSUB_KEYS (in Python: keys=FILE)"
    )


def test_keys_for_a_broker_that_is_not_secure(
    run: Run, tmp_path: Path, role: Sequence[str]
) -> None:
    vault = Vault(tmp_path / "secure")
    _, port = start_broker(run)
    path = vault.path("bob")
    client = start_client(run, role, port, "--keys", path)
    assert client.wait() == 1
    assert client.complaint == (
        f"the broker at 127.0.0.1:{port} is not secure, and {path} is for one that is: "
        "start it with --secure, or leave --keys away"
    )


def test_keys_of_another_broker(run: Run, tmp_path: Path, role: Sequence[str]) -> None:
    """The mistake may be corrected soon, so the client retries until its timeout."""
    vault, other = Vault(tmp_path / "secure"), Vault(tmp_path / "other")
    _, port = start_broker(run, "--secure", vault.folder)
    path = other.path("bob")
    client = start_client(run, role, port, "--keys", path, "--connect-timeout", "3")
    line = (
        f"the broker at 127.0.0.1:{port} has another key than the one in {path}: that "
        "file is for another broker"
    )
    assert client.wait() == 1
    name = client.name
    assert client.err == (
        f"{name}: {line}; still trying\n"
        f"{name}: gave up on the broker at 127.0.0.1:{port} after 3 s\n"
    )


def test_what_the_policy_refuses(run: Run, tmp_path: Path, role: Sequence[str]) -> None:
    vault = Vault(tmp_path / "secure", '[clients.bob]\nsubscribe = ["B"]\n')
    _, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port, "--keys", vault.path("bob"))
    assert client.wait() == 1
    verb = "publish on" if "publisher" in role[0] else "subscribe to"
    assert f"the policy does not let bob {verb} 'A'" in client.complaint


def test_an_expired_enrolment(run: Run, tmp_path: Path, role: Sequence[str]) -> None:
    vault = Vault(tmp_path / "secure")
    vault.let_expire("bob", -1)
    broker, port = start_broker(run, "--secure", vault.folder)
    client = start_client(run, role, port, "--keys", vault.path("bob"))
    assert client.wait() == 1
    assert "have expired" in client.complaint
    broker.says("127.0.0.1: rejected bob, expired")
    listed = run("pubsub-broker", "list", "--secure", vault.folder)
    wait_for(lambda: listed.process.poll() == 0, "the list")
    (line,) = [each for each in listed.out.splitlines() if each.startswith("bob ")]
    assert "expired" in line
