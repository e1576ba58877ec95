"""Brokers that start in a group: their needs of etcd, their errors, and their behavior
without it."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Authority
from support.etcd_broker import etcd_broker
from support.etcd_servers import (
    EtcdCluster,
    etcd_cluster,
    make_users,
)
from support.group_brokers import (
    START_S,
    Start,
    agree,
    exchange,
    is_cut_off,
    publisher_at,
    registry_of,
    started_brokers,
)
from support.running_roles import MODELS, Security, registered

from pubsub_broker.cli import PROGRAM, main
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_common.cli import console_script
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for

LAB = Keys("lab")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[EtcdCluster, Path]]:
    """A cluster that requires certificates and users, with user lab for the keys of one
    group; and the folder of files for a broker."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "authority")
    certificate, key = authority.sign("server", "/")
    own = folder / "tls"
    own.mkdir()
    shutil.copy(authority.certificate, own / "ca.pem")
    certificate_of_broker, key_of_broker = authority.sign("broker", "/")
    shutil.copy(certificate_of_broker, own / "client.pem")
    shutil.copy(key_of_broker, own / "client-key.pem")
    plain = tmp_path_factory.mktemp("data")
    with etcd_cluster(plain) as cluster:
        with contextlib.closing(Members(Endpoints(cluster.endpoints))) as members:
            make_users(members, {"lab": "s3cret"}, LAB.prefix)
        (server,) = cluster.servers
        server.kill()
        # Users stay in the data; from now on it uses TLS.
        server.options = (
            *("--cert-file", str(certificate), "--key-file", str(key)),
            *("--client-cert-auth", "--trusted-ca-file", str(authority.certificate)),
        )
        server.scheme = "https"
        cluster.start()
        (own / "login.toml").write_text('user = "lab"\npassword = "s3cret"\n')
        (own / "login.toml").chmod(0o600)
        yield cluster, own


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts brokers of a group, which end with the test."""
    with started_brokers() as begin:
        yield begin


@pytest.mark.parametrize("model", MODELS)
def test_a_publisher_at_one_broker_is_heard_at_another(
    tmp_path: Path, start: Start, model: Model
) -> None:
    with etcd_cluster(tmp_path, 3) as cluster:
        brokers = [start(cluster.endpoints, model) for _ in range(3)]
        exchange(brokers[0], brokers[1])
        exchange(brokers[2], brokers[0])
        agree(0, *brokers)


@pytest.mark.parametrize("model", MODELS)
def test_clients_find_brokers_at_the_addresses_that_these_advertise(
    start: Start, etcd: EtcdCluster, model: Model
) -> None:
    group = f"advertised-{model}"
    one, other = (
        start(etcd.endpoints, model, group, bind="0.0.0.0", advertise=host)
        for host in ("127.0.0.2", "127.0.0.3")
    )
    exchange(one, other)
    with publisher_at(one) as publisher:
        one.stop()
        wait_for(
            lambda: publisher.broker_address == "127.0.0.3", "it has moved", START_S
        )


# Errors


def refusal(
    capsys: pytest.CaptureFixture[str], *words: object, group: str = "lab"
) -> str:
    """The one line of a broker that cannot be in a group and exits."""
    given = ["--port", "0", "--group", group, *map(str, words)]
    assert main(given) == console_script.EXIT_USAGE
    said = capsys.readouterr().err.splitlines()
    # Other brokers may run in this process.
    errors = [line for line in said if not re.search("broker on| in the group$", line)]
    assert len(errors) == 1, said
    assert errors[0].startswith(f"{PROGRAM}: ")
    return errors[0]


@pytest.mark.usefixtures("untouched_logging")
class TestRefused:
    def test_no_certificate(
        self,
        secured: tuple[EtcdCluster, Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        cluster, folder = secured
        shutil.copy(folder / "ca.pem", tmp_path / "ca.pem")
        line = refusal(
            capsys,
            *("--registry", registry_of(cluster.endpoints)),
            *("--registry-tls", tmp_path),
            *("--registry-login", folder / "login.toml"),
        )
        assert "certificate" in line

    def test_another_authority(
        self,
        secured: tuple[EtcdCluster, Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        cluster, _ = secured
        other = Authority(tmp_path / "other")
        line = refusal(
            capsys,
            *("--registry", registry_of(cluster.endpoints)),
            *("--registry-tls", other.certificate.parent),
        )
        assert "its certificate is not accepted" in line

    def test_a_user_that_etcd_does_not_know(
        self,
        secured: tuple[EtcdCluster, Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        cluster, folder = secured
        login = tmp_path / "login.toml"
        login.write_text('user = "stranger"\npassword = "s3cret"\n')
        login.chmod(0o600)
        line = refusal(
            capsys,
            *("--registry", registry_of(cluster.endpoints)),
            *("--registry-tls", folder, "--registry-login", login),
        )
        assert "authentication failed" in line
        assert "s3cret" not in line

    def test_no_user(
        self, secured: tuple[EtcdCluster, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster, folder = secured
        line = refusal(
            capsys,
            *("--registry", registry_of(cluster.endpoints)),
            *("--registry-tls", folder),
        )
        # etcd looks for the user in the certificate, too.
        assert re.search("requires a user and a password|permission denied", line)

    def test_another_group_than_the_user_may_use(
        self, secured: tuple[EtcdCluster, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        cluster, folder = secured
        line = refusal(
            capsys,
            *("--registry", registry_of(cluster.endpoints)),
            *("--registry-tls", folder),
            *("--registry-login", folder / "login.toml"),
            group="other",
        )
        assert "permission denied" in line

    def test_a_password_that_others_can_read(
        self,
        etcd: EtcdCluster,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        login = tmp_path / "login.toml"
        login.write_text('user = "lab"\npassword = "s3cret"\n')
        login.chmod(0o644)
        line = refusal(
            capsys,
            *("--registry", registry_of(etcd.endpoints)),
            *("--registry-login", login),
        )
        assert "others may read or change it" in line

    def test_another_model(
        self,
        etcd: EtcdCluster,
        start: Start,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        start(etcd.endpoints, "centralized", "of-one-model")
        line = refusal(
            capsys,
            *("--registry", registry_of(etcd.endpoints)),
            group="of-one-model",
        )
        assert "the group is centralized, and this broker decentralized" in line


def test_with_certificate_user_and_password_a_broker_is_in_the_group(
    secured: tuple[EtcdCluster, Path], start: Start
) -> None:
    cluster, folder = secured
    options = {"registry_tls": folder, "registry_login": folder / "login.toml"}
    one, other = (start(cluster.endpoints, **options) for _ in range(2))
    exchange(one, other)


@pytest.mark.parametrize("model", MODELS)
def test_a_secure_group(
    etcd: EtcdCluster, start: Start, tmp_path: Path, model: Model
) -> None:
    security = Security(tmp_path / "keys")
    one, other = (
        start(etcd.endpoints, model, f"secure-{model}", secure=security.folder)
        for _ in range(2)
    )
    exchange(one, other, security)


# Log lines


def test_brokers_that_let_in_others_are_told_of(
    etcd: EtcdCluster,
    start: Start,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    security = Security(tmp_path / "keys")
    copy = shutil.copytree(security.folder, tmp_path / "copy")

    def said(text: str) -> int:
        return sum(text in line for line in caplog.messages)

    with caplog.at_level(logging.INFO):
        for folder in (security.folder, copy):
            start(etcd.endpoints, group="secure", secure=folder)
        wait_for(lambda: said("is in the group") == 2)
        assert said("has other keys") == 0
        (copy / "policy.toml").write_text('[clients.subscriber]\nsubscribe = ["#"]\n')
        wait_for(lambda: said("has other keys, clients or policy than this one") == 2)
        shutil.copy(copy / "policy.toml", security.folder / "policy.toml")
        wait_for(lambda: said("reloaded keys") == 2)
        assert said("has other keys") == 2


# Without etcd


def test_without_etcd_clients_are_served_and_others_are_told_when_it_is_there(
    tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with etcd_cluster(tmp_path) as cluster:
        (server,) = cluster.servers
        server.kill()
        with caplog.at_level(logging.INFO):
            one, other = (start(cluster.endpoints) for _ in range(2))
            waits = [
                line for line in caplog.messages if "continuing without etcd" in line
            ]
            assert len(waits) == 2
            exchange(one, one)
            assert is_cut_off(one)
            with publisher_at(one), publisher_at(other):
                cluster.start()
                agree(2, one, other)
                assert not is_cut_off(one)
            assert sum("in the group lab" in line for line in caplog.messages) == 2


def test_a_broker_that_begins_has_all_clients_of_the_group(
    etcd: EtcdCluster, start: Start
) -> None:
    count = 2000
    keys = Keys("many")
    with etcd_broker("b1", keys, etcd.endpoints) as others:
        for session in range(count):
            others.register(session)
        wait_for(lambda: len(others.holders()) == count, timeout_s=START_S)
        broker = start(etcd.endpoints, group="many")
        found = registered(broker.port, "publisher")
        assert found  # immediately, as it begins with them
        assert broker.broker.event_count == 0
