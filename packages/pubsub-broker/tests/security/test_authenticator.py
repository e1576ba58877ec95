"""Changes of a secure broker's folder while it runs."""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pubsub_broker.security.authenticator import Authenticator
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.security.keys import load_client_keys

NOW = datetime.datetime.now(datetime.UTC)
POLICY = "[clients.alice]\npublish = ['A']\n"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.create()
    store.enroll("alice", now=NOW)
    return store


@pytest.fixture
def clock() -> Iterator[float]:
    """Times at which the folder is looked at."""
    return itertools.count(1.0)


def key(store: KeyStore, name: str) -> str:
    return load_client_keys(store.directory / f"{name}.keys").pair.public


def policy(store: KeyStore, text: str) -> None:
    (store.directory / "policy.toml").write_text(text)


def test_a_client_enrolled_just_now_may_connect(store: KeyStore) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))

    store.enroll("bob", now=NOW)

    assert authenticator.allows(key(store, "bob"), "127.0.0.1")
    # Publishers must hear of it.
    assert authenticator.poll_changes(1.0) == set()


def test_a_revoked_key_is_reported(store: KeyStore, clock: Iterator[float]) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    assert authenticator.poll_changes(next(clock)) is None

    store.revoke("alice", now=NOW)

    assert authenticator.poll_changes(next(clock)) == {key(store, "alice")}
    assert not authenticator.allows(key(store, "alice"), "127.0.0.1")


def test_a_mistake_in_the_policy_does_not_keep_revocations_from_holding(
    store: KeyStore, clock: Iterator[float], caplog: pytest.LogCaptureFixture
) -> None:
    store.enroll("bob", now=NOW)
    policy(store, POLICY)
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    policy(store, "[clients.alice]\npublsh = ['B']\n")

    store.revoke("bob", now=NOW)

    assert authenticator.poll_changes(next(clock)) == {key(store, "bob")}
    assert "unknown key 'publsh'" in caplog.text
    grant = authenticator.grants.grant(key(store, "alice"))
    assert grant is not None
    assert grant.publish == ("A",)


def test_a_policy_that_is_gone_opens_nothing(
    store: KeyStore, clock: Iterator[float], caplog: pytest.LogCaptureFixture
) -> None:
    policy(store, POLICY)
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    (store.directory / "policy.toml").unlink()

    assert authenticator.poll_changes(next(clock)) is None

    assert "the policy file is gone" in caplog.text
    assert not authenticator.grants.permits(key(store, "alice"), "A")


def test_a_broken_list_of_clients_changes_nothing(
    store: KeyStore, clock: Iterator[float], caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))
    (store.directory / "clients.toml").write_text("[alice]\n")

    assert authenticator.poll_changes(next(clock)) is None

    assert "public is not a key" in caplog.text
    assert authenticator.allows(key(store, "alice"), "127.0.0.1")


def test_the_description_counts_allowed_clients(store: KeyStore) -> None:
    store.enroll("bob", now=NOW)
    store.revoke("bob", now=NOW)

    authenticator = Authenticator(store.directory, AuditLog(logging.getLogger("test")))

    assert authenticator.describe() == "1 of 2 clients allowed, without a policy"
