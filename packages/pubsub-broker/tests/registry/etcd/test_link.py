"""The threads of a broker that talk to etcd."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.etcd_broker import client_of
from support.etcd_servers import EtcdCluster, etcd_cluster, make_users
from support.ports import free_port

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    BrokerWent,
    DeleteClient,
    LeftRecord,
    PutClient,
)
from pubsub_broker.registry.etcd.credentials import Login
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.link import GroupLink
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry_options import Endpoint
from pubsub_common.errors import ConfigError
from pubsub_common.testing import wait_for

ABOUT = About(format=1, model="decentralized")
MakeLink = Callable[..., GroupLink]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[MakeLink]:
    """Makes links of one group; all are closed with the test."""
    keys = Keys(request.node.name.partition("[")[0][:60])
    with contextlib.ExitStack() as stack:

        def link(
            name: str,
            endpoints: Sequence[Endpoint],
            about: About = ABOUT,
            **options: Any,
        ) -> GroupLink:
            own = BrokerRecord(address="127.0.0.1:1", version="0")
            group = Group(keys, name, about, own, alive_s=3, clients_s=15)
            shared = Endpoints(endpoints)
            made = GroupLink(
                group, keys, shared, lambda: Members(shared, **options), bool
            )
            stack.callback(made.close, 30.0)
            return made

        yield link


def told(link: GroupLink, kind: type[Any]) -> Any:
    """The next change of this kind."""
    found: list[Any] = []

    def came() -> bool:
        found.extend(each for each in link.take_changes() if isinstance(each, kind))
        return bool(found)

    wait_for(came, kind.__name__)
    return found[0]


def test_a_registration_comes_back_at_all_brokers(
    etcd: EtcdCluster, make: MakeLink
) -> None:
    one, two = make("b1", etcd.endpoints), make("b2", etcd.endpoints)
    for link in (one, two):
        link.begin()
    write = one.put_client(client_of(7))
    for link in (one, two):
        put = told(link, PutClient)
        assert (put.record.broker, put.record.write) == ("b1", write)
    left = LeftRecord(next_sequences={"topic-7": 3})
    one.delete_client(7, left)
    for link in (one, two):
        assert told(link, DeleteClient).left == left
    assert not one.cut_off()
    assert not two.cut_off()


def test_a_broker_that_ends_is_gone_at_once_and_its_clients_are_not(
    etcd: EtcdCluster, make: MakeLink
) -> None:
    one, two = make("b1", etcd.endpoints), make("b2", etcd.endpoints)
    for link in (one, two):
        link.begin()
    one.put_client(client_of(7))
    told(two, PutClient)
    one.close(30.0)
    changes: list[Any] = []

    def gone() -> bool:
        changes.extend(two.take_changes())
        return any(isinstance(change, BrokerWent) for change in changes)

    wait_for(gone)
    assert not any(isinstance(change, DeleteClient) for change in changes)


def test_a_broker_of_another_model_cannot_be_in_the_group(
    etcd: EtcdCluster, make: MakeLink
) -> None:
    first = make("b1", etcd.endpoints)
    first.begin()
    other = make("b2", etcd.endpoints, About(format=1, model="centralized"))
    with pytest.raises(ConfigError, match="the group is decentralized"):
        other.begin()


def test_without_etcd_it_waits_and_says_so_and_goes_on_when_that_is_there(
    tmp_path: Path, make: MakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    with etcd_cluster(tmp_path) as cluster:
        (server,) = cluster.servers
        server.kill()
        link = make("b1", cluster.endpoints, timeout_s=0.5)
        with caplog.at_level(logging.WARNING):
            link.begin()
        [line] = caplog.messages
        assert line.startswith(
            "continuing without etcd until it answers: etcd does not"
        )
        assert "etcd does not answer" in link.why()
        link.put_client(client_of(7))
        assert link.cut_off()
        cluster.start()
        assert told(link, PutClient).record.client == client_of(7)
        wait_for(lambda: not link.cut_off())
        link.close(30.0)


def test_a_login_that_is_refused_is_told_at_the_start(
    etcd: EtcdCluster, make: MakeLink
) -> None:
    link = make("b1", etcd.endpoints, login=lambda: Login("lab", "wrong"))
    with pytest.raises(ConfigError, match="authentication is not enabled"):
        link.begin()


def test_of_two_models_that_begin_at_once_one_cannot_be_in_the_group(
    tmp_path: Path, make: MakeLink
) -> None:
    with etcd_cluster(tmp_path) as cluster:
        (server,) = cluster.servers
        server.kill()
        links = [make("b1", cluster.endpoints, timeout_s=0.5)]
        centralized = About(format=1, model="centralized")
        links.append(make("b2", cluster.endpoints, centralized, timeout_s=0.5))
        for link in links:
            link.begin()
        cluster.start()

        def refused(link: GroupLink) -> bool:
            try:
                link.take_changes()
            except ConfigError as error:
                return "the group is" in str(error)
            return False

        wait_for(lambda: any(map(refused, links)))
        assert not all(map(refused, links))
        for link in links:
            link.close(30.0)


def test_what_waits_to_be_written_is_written_at_the_end(
    etcd: EtcdCluster, make: MakeLink
) -> None:
    one, two = make("b1", etcd.endpoints), make("b2", etcd.endpoints)
    for link in (one, two):
        link.begin()
    one.put_client(client_of(7))
    told(two, PutClient)
    one.delete_client(7, LeftRecord())
    one.close(30.0)
    assert told(two, DeleteClient).record.client == client_of(7)


def test_a_user_of_another_group_is_told_at_the_start(
    tmp_path: Path, make: MakeLink
) -> None:
    with etcd_cluster(tmp_path) as cluster:
        with contextlib.closing(Members(Endpoints(cluster.endpoints))) as members:
            make_users(members, {"lab": "s3cret"}, b"/pubsub/other/")
        link = make("b1", cluster.endpoints, login=lambda: Login("lab", "s3cret"))
        with pytest.raises(ConfigError, match="permission denied"):
            link.begin()
        link.close(30.0)


def test_an_end_while_etcd_is_away_does_not_wait_for_it(make: MakeLink) -> None:
    link = make("b1", [Endpoint("127.0.0.1", free_port())], timeout_s=0.5)
    link.begin()
    link.close(30.0)
    assert not any(thread.is_alive() for thread in link.threads())


def test_what_ends_a_thread_is_raised_to_the_broker(
    etcd: EtcdCluster, make: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    link = make("b1", etcd.endpoints)
    monkeypatch.setattr(Group, "to_grant", broken)
    link.begin()

    def raised() -> bool:
        try:
            link.take_changes()
        except ZeroDivisionError:
            return True
        return False

    wait_for(raised)
