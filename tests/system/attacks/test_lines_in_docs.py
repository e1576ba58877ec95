"""The lines of a secure broker that docs/operations.md explains, from brokers that run."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

from support.attack_tools import Vault
from support.paths import DOCS
from support.ports import free_port
from support.running_roles import Program

Run = Callable[..., Program]
OPERATIONS = DOCS / "operations.md"
# An honest program does not do this; `test_subscriptions.py` does, and sees the line.
BY_HAND = "`…: disconnected …: not authorized to subscribe to …`"


def explained() -> list[str]:
    """The first column of the table on secure brokers."""
    text = OPERATIONS.read_text(encoding="utf-8")
    section = text.partition("| line of the broker |")[2].partition("\n\n")[0]
    return [row.split(" | ")[0].removeprefix("| ") for row in section.split("\n")[2:]]


def pattern_of(cell: str) -> re.Pattern[str]:
    """The pattern of lines for the first code words of a cell; names and numbers may
    differ."""
    line = re.findall("`([^`]*)`", cell)[0]
    line = re.sub(r"\d+|\b(alice|bob)\b", "…", line)
    parts = [re.escape(part) for part in line.split("…")]
    return re.compile("^pubsub-broker: " + ".+".join(parts), re.M)


def test_each_line_is_said(run: Run, tmp_path: Path) -> None:
    vault, other = Vault(tmp_path / "secure"), Vault(tmp_path / "other")
    stranger = other.path("bob")
    stranger.write_text(stranger.read_text().replace(other.broker, vault.broker))
    vault.revoke("carol")

    def broker(*words: object) -> tuple[Program, int]:
        port = free_port()
        program = run("pubsub-broker", "--port", port, *words)
        program.says(f"broker on 127.0.0.1:{port}")
        return program, port

    def rejected(port: int, *words: object) -> None:
        argv = ("-t", "A", "-i", "--broker-port", port, "--connect-timeout", "2")
        assert run("pubsub-subscriber", *argv, *words).wait() == 1

    secure, port = broker("--secure", vault.folder)
    second, second_port = broker("--secure", vault.folder)
    plain, plain_port = broker()
    # In 10 s there is one line on rejected keys for each address.
    rejected(port, "--keys", vault.path("carol"))
    rejected(second_port, "--keys", stranger)
    rejected(port, "--keys", other.path("alice"))
    socket.create_connection(("127.0.0.1", port)).close()
    secure.says("closed before sending a CURVE key")
    # If the client detects the problem first, the line is another one, and a broker
    # that is not secure logs none.
    while "it uses no keys" not in secure.err:
        rejected(port)
    while "it uses keys" not in plain.err:
        rejected(plain_port, "--keys", vault.path("bob"))

    publisher = ("pubsub-publisher", "-t", "A", "-i", "-bp", free_port())
    alice = run(*publisher, "--broker-port", port, "--keys", vault.path("alice"))
    secure.says("(alice) joined: A")
    vault.write_policy('[clients.bob]\nsubscribe = ["B"]\n')
    secure.says("(alice) no longer authorized")
    assert alice.wait() == 1
    rejected(port, "--keys", vault.path("bob"))
    vault.write_policy("x")
    secure.says("; keeping the previous policy")
    (vault.folder / "policy.toml").unlink()
    secure.says("the policy file is gone; ")
    (vault.folder / "clients.toml").write_text("x")
    secure.says("; keeping the previously enrolled clients")

    said = secure.err + second.err + plain.err
    rows = explained()
    assert len(rows) > 10
    missing = [row for row in rows if not pattern_of(row).search(said)]
    assert missing == [BY_HAND], said
