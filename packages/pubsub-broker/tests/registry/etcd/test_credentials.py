"""TLS with a real etcd, and the files of certificates and passwords."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.certificates import Authority
from support.etcd_servers import EtcdCluster, etcd_client, etcd_cluster

from pubsub_broker.registry.etcd.credentials import Login, read_login, tls_context
from pubsub_broker.registry.etcd.errors import EtcdUnreachable, TlsFailed
from pubsub_broker.registry.etcd.requests import Put
from pubsub_common.errors import ConfigError
from pubsub_common.testing import wait_for

PREFIX = b"/pubsub/lab/"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def etcd(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[EtcdCluster]:
    """An etcd that requires TLS and a client certificate."""
    certificate, key = authority.sign("server", "/")
    options = ["--cert-file", str(certificate), "--key-file", str(key)]
    options += ["--client-cert-auth", "--trusted-ca-file", str(authority.certificate)]
    with etcd_cluster(tmp_path_factory.mktemp("etcd"), 1, options) as cluster:
        yield cluster


def folder_of(
    tmp_path: Path, authority: Authority, subject: str | None, name: str = "client"
) -> Path:
    """A folder for ``--registry-tls``."""
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(authority.certificate, folder / "ca.pem")
    if subject is not None:
        certificate, key = authority.sign(name, subject)
        shutil.copy(certificate, folder / "client.pem")
        shutil.copy(key, folder / "client-key.pem")
    return folder


def test_a_client_with_a_certificate_writes_reads_and_watches(
    etcd: EtcdCluster, authority: Authority, tmp_path: Path
) -> None:
    context = tls_context(folder_of(tmp_path, authority, "/"))
    with etcd_client(etcd.endpoints, tls=context) as client:
        watch = client.watch(PREFIX, 1)
        events: list[bytes] = []

        def told() -> bool:
            for answer in watch.read(0.5):
                events.extend(event.kv.value for event in answer.events)
            return len(events) == 3

        for number in range(3):
            client.put(Put(PREFIX + b"a", b"%d" % number * 100_000))
        wait_for(told)
        assert [value[:1] for value in events] == [b"0", b"1", b"2"]
        watch.close()
        assert len(client.list(PREFIX).kvs) == 1


def test_a_client_without_a_certificate_is_refused(
    etcd: EtcdCluster, authority: Authority, tmp_path: Path
) -> None:
    context = tls_context(folder_of(tmp_path, authority, None))
    with (
        etcd_client(etcd.endpoints, tls=context) as client,
        pytest.raises(TlsFailed, match=r"certificate required|bad certificate"),
    ):
        client.list(PREFIX)


def test_a_client_without_tls_is_told(etcd: EtcdCluster) -> None:
    with (
        etcd_client(etcd.endpoints) as client,
        pytest.raises(EtcdUnreachable, match="may require TLS"),
    ):
        client.list(PREFIX)


def test_a_server_of_another_authority_is_not_accepted(
    etcd: EtcdCluster, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    context = tls_context(folder_of(tmp_path, other, "/"))
    with etcd_client(etcd.endpoints, tls=context) as client:
        for ask in (lambda: client.list(PREFIX), lambda: client.watch(PREFIX, 1)):
            with pytest.raises(
                TlsFailed, match="certificate is not accepted"
            ) as raised:
                ask()
    assert "\n" not in str(raised.value)


def test_tls_where_etcd_has_none_is_told(authority: Authority, tmp_path: Path) -> None:
    context = tls_context(folder_of(tmp_path, authority, None))
    with (
        etcd_cluster(tmp_path) as plain,
        etcd_client(plain.endpoints, tls=context) as client,
        pytest.raises(EtcdUnreachable, match="may not use TLS"),
    ):
        client.list(PREFIX)


# Files


def test_a_folder_without_an_authority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot use .*ca\.pem: No such file"):
        tls_context(tmp_path)


@pytest.mark.parametrize("name", ["ca.pem", "client.pem", "client-key.pem"])
def test_a_file_that_is_no_certificate_is_refused(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    folder = folder_of(tmp_path, authority, "/")
    (folder / name).write_text("nothing")
    with pytest.raises(ConfigError, match="cannot use") as raised:
        tls_context(folder)
    assert "\n" not in str(raised.value)


def test_a_key_that_others_can_read_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, authority, "/")
    (folder / "client-key.pem").chmod(0o640)
    with pytest.raises(ConfigError, match="others may use it: chmod 600"):
        tls_context(folder)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    authority: Authority, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, authority, "/")
    key = folder / "client-key.pem"
    words = ["-in", str(key), "-out", str(key), "-aes256", "-passout", "pass:secret"]
    subprocess.run(["openssl", "ec", *words], check=True, capture_output=True)
    with pytest.raises(ConfigError, match="cannot use"):
        tls_context(folder)


def test_a_missing_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, authority, "/")
    (folder / "client-key.pem").unlink()
    with pytest.raises(ConfigError, match=r"client-key\.pem: No such file"):
        tls_context(folder)


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_user_and_password_are_read_from_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "login.toml", 'user = "lab"\npassword = "s3cret"\n')
    assert read_login(path) == Login("lab", "s3cret")


@pytest.mark.parametrize(
    "text", ["", 'user = "lab"', "user = 1\npassword = 2", "user ="]
)
def test_a_file_without_both_is_refused_and_not_quoted(
    tmp_path: Path, text: str
) -> None:
    path = written(tmp_path / "login.toml", text)
    with pytest.raises(ConfigError) as raised:
        read_login(path)
    assert str(path) in str(raised.value)


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "login.toml", 'user = "a"\npassword = "b"\n', 0o644)
    with pytest.raises(ConfigError, match="others may read or change it"):
        read_login(path)
