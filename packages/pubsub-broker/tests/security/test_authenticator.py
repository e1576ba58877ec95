"""Changes of a secure broker's folder while it runs."""

from __future__ import annotations

import datetime
import logging
import os
import threading
from pathlib import Path

import pytest
import zmq

from pubsub_broker.security import authenticator as authenticator_module
from pubsub_broker.security.authenticator import Authenticator
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.security.keys import load_client_keys

WAIT_S = 60.0
NOW = datetime.datetime.now(datetime.UTC)
POLICY = "[clients.alice]\npublish = ['A']\n"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.create()
    store.enroll("alice", now=NOW)
    return store


def key(store: KeyStore, name: str) -> str:
    return load_client_keys(store.directory / f"{name}.keys").pair.public


def policy(store: KeyStore, text: str) -> None:
    (store.directory / "policy.toml").write_text(text)


def test_a_client_enrolled_just_now_may_connect(store: KeyStore) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    told = threading.Event()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator.open(context, told.set)

    store.enroll("bob", now=NOW)

    assert authenticator.allows(key(store, "bob"), "127.0.0.1")
    # Publishers must learn it.
    assert told.is_set()
    assert authenticator.take_changes() == set()
    authenticator.close(WAIT_S)
    context.term()
    assert not authenticator.thread.is_alive()


def test_a_folder_that_cannot_be_read_holds_up_one_handshake(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer. Known clients do not wait at all."""
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    monkeypatch.setattr(authenticator_module, "_LOOK_TIMEOUT_S", 0.01)
    answers, reads = threading.Event(), threading.Event()

    def stamp() -> tuple[object, ...]:
        reads.set()
        answers.wait(WAIT_S)
        return ()

    monkeypatch.setattr(authenticator._store, "stamp", stamp)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator.open(context)
    assert reads.wait(WAIT_S)

    assert authenticator.allows(key(store, "alice"), "127.0.0.1")
    assert not authenticator.allows("unknown", "127.0.0.1")
    assert authenticator.take_changes() is None
    authenticator.close(0.0)
    context.term()
    answers.set()
    authenticator.thread.join(WAIT_S)


@pytest.mark.parametrize("name", ["clients.toml", "policy.toml"])
@pytest.mark.parametrize(
    "spoil", ["large", "dotted", "pipe", "zero", "folder", "empty"]
)
def test_a_file_that_is_no_such_file_changes_nothing(
    store: KeyStore, caplog: pytest.LogCaptureFixture, name: str, spoil: str
) -> None:
    policy(store, POLICY)
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    path = store.directory / name
    path.unlink()
    match spoil:
        case "large":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "dotted":
            path.write_text(".".join("a" * 60_000) + " = 1")
        case "pipe":
            os.mkfifo(path, 0o600)
        case "zero":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir(0o700)
        case "empty":
            path.write_text("[")
    if not path.is_symlink():
        path.chmod(0o600)

    authenticator.look()
    authenticator.look()

    assert authenticator.take_changes() is None
    (said,) = caplog.messages
    assert said.startswith(
        f"{path}: " if spoil in ("dotted", "empty") else "cannot read"
    )
    assert "; keeping the previous" in said
    grant = authenticator.grants.grant(key(store, "alice"))
    assert grant is not None
    assert grant.publish == ("A",)


def test_a_revoked_key_is_reported(store: KeyStore) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    authenticator.look()
    assert authenticator.take_changes() is None

    store.revoke("alice", now=NOW)

    authenticator.look()
    assert authenticator.take_changes() == {key(store, "alice")}
    assert not authenticator.allows(key(store, "alice"), "127.0.0.1")


def test_a_mistake_in_the_policy_does_not_keep_revocations_from_holding(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.enroll("bob", now=NOW)
    policy(store, POLICY)
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    policy(store, "[clients.alice]\npublsh = ['B']\n")

    store.revoke("bob", now=NOW)

    authenticator.look()
    assert authenticator.take_changes() == {key(store, "bob")}
    assert "unknown key 'publsh'" in caplog.text
    grant = authenticator.grants.grant(key(store, "alice"))
    assert grant is not None
    assert grant.publish == ("A",)


def test_a_policy_that_is_gone_opens_nothing(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    policy(store, POLICY)
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    (store.directory / "policy.toml").unlink()

    authenticator.look()
    assert authenticator.take_changes() is None

    assert "the policy file is gone" in caplog.text
    assert not authenticator.grants.permits(key(store, "alice"), "A")


def test_a_broken_list_of_clients_changes_nothing(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    (store.directory / "clients.toml").write_text("[alice]\n")

    authenticator.look()
    assert authenticator.take_changes() is None

    assert "public is not a key" in caplog.text
    assert authenticator.allows(key(store, "alice"), "127.0.0.1")


def test_the_description_counts_allowed_clients(store: KeyStore) -> None:
    store.enroll("bob", now=NOW)
    store.revoke("bob", now=NOW)

    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))

    assert authenticator.describe() == "1 of 2 clients allowed, without a policy"
