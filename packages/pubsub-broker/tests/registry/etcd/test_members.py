"""Users and passwords with a real etcd: which are rejected, and how tokens are renewed."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Authority
from support.etcd_servers import EtcdCluster, etcd_client, etcd_cluster, make_users
from support.ports import free_port

from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.credentials import Login, tls_context
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import EtcdRefused, TokenRejected
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.requests import (
    Put,
    Transaction,
    encode,
    operation,
)
from pubsub_broker.registry_options import Endpoint
from pubsub_common.testing import wait_for

OWN, OTHER = b"/pubsub/lab/", b"/pubsub/other/"
LAB = Login("lab", "s3cret")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    folder = tmp_path_factory.mktemp("etcd")
    with etcd_cluster(folder, 1, ["--auth-token-ttl", "1"]) as cluster:
        with contextlib.closing(Members(Endpoints(cluster.endpoints))) as members:
            make_users(members, {"lab": "s3cret"}, OWN)
        yield cluster


@pytest.fixture
def client(etcd: EtcdCluster) -> Iterator[EtcdClient]:
    with etcd_client(etcd.endpoints, login=lambda: LAB) as client:
        yield client


def as_root(etcd: EtcdCluster, path: str, **words: object) -> None:
    members = Members(Endpoints(etcd.endpoints), login=lambda: Login("root", "root"))
    with contextlib.closing(members):
        members.post(f"/v3/auth/{path}", encode(words))


def test_a_user_writes_what_is_its_own_and_nothing_else(client: EtcdClient) -> None:
    client.put(Put(OWN + b"a", b""))
    assert len(client.list(OWN).kvs) == 1
    for ask in (
        lambda: client.put(Put(OTHER + b"a", b"")),
        lambda: client.list(OTHER),
        lambda: client.transact(Transaction(success=[operation(Put(b"/x", b""))])),
    ):
        with pytest.raises(EtcdRefused, match="permission denied"):
            ask()


def test_a_watch_of_what_is_not_its_own_is_refused(client: EtcdClient) -> None:
    client.list(OWN)
    with pytest.raises(EtcdRefused, match="permission denied"):
        client.watch(OTHER, 1)
    with contextlib.closing(client.watch(OWN, 1)) as watch:
        assert watch.read(30.0)[0].created


@pytest.mark.parametrize("login", [Login("lab", "wrong"), Login("stranger", "s3cret")])
def test_a_wrong_password_is_refused_in_one_line(
    etcd: EtcdCluster, login: Login
) -> None:
    with (
        etcd_client(etcd.endpoints, login=lambda: login) as client,
        pytest.raises(EtcdRefused, match="authentication failed") as raised,
    ):
        client.list(OWN)
    assert "\n" not in str(raised.value)
    assert login.password not in str(raised.value)


def test_without_a_user_etcd_asks_for_one(etcd: EtcdCluster) -> None:
    with etcd_client(etcd.endpoints) as client:
        with pytest.raises(EtcdRefused, match="requires a user and a password"):
            client.list(OWN)
        with pytest.raises(EtcdRefused):
            client.watch(OWN, 1)


def test_a_token_that_has_ended_is_renewed(
    etcd: EtcdCluster, client: EtcdClient
) -> None:
    client.list(OWN)
    first = client._members.token
    with etcd_client(etcd.endpoints) as other:

        def has_ended() -> bool:
            # Each use extends it, so the test uses it less often than it lasts.
            threading.Event().wait(1.5)
            other._members.token = first
            with contextlib.suppress(TokenRejected):
                return not other.list(OWN)
            return True

        wait_for(has_ended)
    put = Transaction(success=[operation(Put(OWN + b"token", b""))])
    assert client.transact(put).succeeded
    assert client._members.token != first


def test_a_watch_with_a_token_that_has_ended_is_opened_anew(client: EtcdClient) -> None:
    client.list(OWN)
    client._members.token = "made.up"
    with contextlib.closing(client.watch(OWN, 1)) as watch:
        assert watch.read(30.0)[0].created


def test_users_that_change_cost_another_token_and_nothing_else(
    etcd: EtcdCluster, client: EtcdClient
) -> None:
    client.list(OWN)
    as_root(etcd, "user/add", name="another", password="x")
    assert client.transact(
        Transaction(success=[operation(Put(OWN + b"users", b""))])
    ).succeeded


def test_a_password_that_was_changed_is_read_anew(etcd: EtcdCluster) -> None:
    as_root(etcd, "user/add", name="changing", password="old")
    as_root(etcd, "user/grant", user="changing", role="group")
    passwords = ["old"]
    with etcd_client(
        etcd.endpoints, login=lambda: Login("changing", passwords[-1])
    ) as client:
        client.list(OWN)
        as_root(etcd, "user/changepw", name="changing", password="new")
        passwords.append("new")
        client.list(OWN)


def test_a_member_that_is_not_there_takes_no_password(etcd: EtcdCluster) -> None:
    gone = Endpoint("127.0.0.1", free_port())
    with etcd_client([gone, *etcd.endpoints], login=lambda: LAB) as client:
        client.list(OWN)


def test_a_certificate_with_a_common_name_is_refused_where_there_are_users(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("server", "/")
    options = ["--cert-file", str(certificate), "--key-file", str(key)]
    options += ["--client-cert-auth", "--trusted-ca-file", str(authority.certificate)]
    contexts = []
    for name, subject in (("without", "/"), ("with", "/CN=lab")):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(authority.certificate, folder / "ca.pem")
        for made, taken in zip(
            authority.sign(name, subject), ("client.pem", "client-key.pem"), strict=True
        ):
            shutil.copy(made, folder / taken)
        contexts.append(tls_context(folder))
    without, with_name = contexts
    with etcd_cluster(tmp_path, 1, options) as cluster:
        members = Members(Endpoints(cluster.endpoints), tls=without)
        with contextlib.closing(members):
            make_users(members, {"lab": "s3cret"}, OWN)
        with etcd_client(cluster.endpoints, tls=without, login=lambda: LAB) as client:
            client.put(Put(OWN + b"a", b""))
        with (
            etcd_client(cluster.endpoints, tls=with_name, login=lambda: LAB) as client,
            pytest.raises(EtcdRefused, match="one with an empty subject"),
        ):
            client.list(OWN)
