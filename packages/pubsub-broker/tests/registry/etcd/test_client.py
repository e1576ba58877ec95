"""The client with a real etcd: its requests, and its errors."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.etcd_servers import EtcdCluster, etcd_client, etcd_cluster
from support.ports import free_port
from support.tcp_relay import tcp_relay

from pubsub_broker.registry.etcd import requests
from pubsub_broker.registry.etcd.answers import WatchAnswer
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdRefused,
    EtcdUnreachable,
    LeaseGone,
)
from pubsub_broker.registry.etcd.requests import (
    Delete,
    Put,
    Range,
    Transaction,
    mod_revision_is,
    operation,
    version_is,
)
from pubsub_broker.registry.etcd.watch_stream import WatchStream
from pubsub_broker.registry_options import Endpoint


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def client(etcd: EtcdCluster) -> Iterator[EtcdClient]:
    with etcd_client(etcd.endpoints) as client:
        yield client


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> bytes:
    """The prefix of the keys of one test."""
    return f"/{request.node.name}/".encode()


def answers_of(
    watch: WatchStream, count: int, timeout_s: float = 30.0
) -> list[WatchAnswer]:
    """The answers with at least this many further events."""
    found: list[WatchAnswer] = []
    deadline = time.monotonic() + timeout_s
    while sum(len(answer.events) for answer in found) < count:
        assert time.monotonic() < deadline, found
        found += watch.read(0.5)
    return found


def told(answers: list[WatchAnswer]) -> list[tuple[str, bytes, bytes]]:
    events = [event for answer in answers for event in answer.events]
    return [(event.type, event.kv.key, event.kv.value) for event in events]


def compact(client: EtcdClient, revision: int) -> None:
    body = requests.encode({"revision": revision, "physical": True})
    client._members.post("/v3/kv/compaction", body)


def test_what_is_written_is_read_and_deleted(client: EtcdClient, prefix: bytes) -> None:
    key, value = prefix + b"\xff\x00key", bytes(range(256))
    revision = client.put(Put(key, value))
    (found,) = client.range(Range(key)).kvs
    assert (found.key, found.value, found.mod_revision) == (key, value, revision)
    assert client.delete(Delete(key)) == 1
    assert client.delete(Delete(key)) == 0
    assert client.range(Range(key)).kvs == []


@pytest.mark.parametrize("page", [1, 3, 7, 8, 1000])
def test_a_list_has_all_keys_of_a_prefix_however_it_is_paged(
    client: EtcdClient, prefix: bytes, page: int
) -> None:
    for number in range(7):
        client.put(Put(prefix + b"%d" % number, b"%d" % number))
    client.put(Put(prefix[:-1] + b"0", b"behind"))
    listing = client.list(prefix, page)
    assert [kv.value for kv in listing.kvs] == [b"%d" % number for number in range(7)]
    assert listing.revision >= max(kv.mod_revision for kv in listing.kvs)


def test_an_empty_prefix_has_a_revision(client: EtcdClient, prefix: bytes) -> None:
    listing = client.list(prefix)
    assert listing.kvs == []
    assert listing.revision > 0
    assert listing.cluster_id


def test_a_transaction_compares_revisions_and_versions(
    client: EtcdClient, prefix: bytes
) -> None:
    key = prefix + b"key"
    create = Transaction(
        compare=[version_is(key, 0)],
        success=[operation(Put(key, b"first"))],
        failure=[operation(Range(key))],
    )
    first = client.transact(create)
    assert first.succeeded
    again = client.transact(create)
    assert not again.succeeded
    assert again.responses[0].response_range is not None
    (there,) = again.responses[0].response_range.kvs
    assert (there.value, there.mod_revision, there.version) == (
        b"first",
        first.header.revision,
        1,
    )
    replace = Transaction(
        compare=[mod_revision_is(key, there.mod_revision)],
        success=[operation(Put(key, b"second"))],
    )
    assert client.transact(replace).succeeded
    assert not client.transact(replace).succeeded


def test_parts_of_a_transaction_have_conditions_of_their_own(
    client: EtcdClient, prefix: bytes
) -> None:
    here, absent = prefix + b"here", prefix + b"absent"
    client.put(Put(here, b"before"))
    parts = [
        Transaction(
            compare=[mod_revision_is(key, 0)],
            success=[operation(Put(key, b"new"))],
            failure=[operation(Range(key))],
        )
        for key in (here, absent)
    ]
    answer = client.transact(Transaction(success=[operation(part) for part in parts]))
    outcomes = [part.response_txn for part in answer.responses]
    assert [outcome is not None and outcome.succeeded for outcome in outcomes] == [
        False,
        True,
    ]
    assert client.range(Range(absent)).kvs[0].mod_revision == answer.header.revision


def test_leases_are_granted_renewed_and_revoked(
    client: EtcdClient, prefix: bytes
) -> None:
    short, long = client.grant(30), client.grant(60)
    client.put(Put(prefix + b"key", b"", short.ID))
    never = 12345
    assert client.keep_alive([short.ID, long.ID, never]) == {
        short.ID: 30,
        long.ID: 60,
        never: 0,
    }
    client.revoke(short.ID)
    assert client.list(prefix).kvs == []
    with pytest.raises(LeaseGone):
        client.revoke(short.ID)
    with pytest.raises(LeaseGone):
        client.put(Put(prefix + b"key", b"", short.ID))
    client.revoke(long.ID)


def test_a_watch_tells_changes_in_their_order_and_from_a_revision_on(
    client: EtcdClient, prefix: bytes
) -> None:
    first = client.put(Put(prefix + b"a", b"1"))
    with contextlib.closing(client.watch(prefix, first)) as watch:
        assert told(answers_of(watch, 1)) == [("PUT", prefix + b"a", b"1")]
        lease = client.grant(60).ID
        pair = [operation(Put(prefix + name, b"2", lease)) for name in (b"b", b"c")]
        both = client.transact(Transaction(success=pair)).header.revision
        client.delete(Delete(prefix + b"a"))
        client.revoke(lease)
        later = answers_of(watch, 5)
        assert told(later) == [
            ("PUT", prefix + b"b", b"2"),
            ("PUT", prefix + b"c", b"2"),
            ("DELETE", prefix + b"a", b""),
            ("DELETE", prefix + b"b", b""),
            ("DELETE", prefix + b"c", b""),
        ]
        assert watch.read(0.0) == []
    revisions = [event.kv.mod_revision for each in later for event in each.events]
    assert revisions == [both, both, both + 1, both + 2, both + 2]
    with contextlib.closing(client.watch(prefix, both + 1)) as watch:
        assert told(answers_of(watch, 3)) == told(later)[2:]


def test_a_compaction_while_nobody_watches_is_told(
    client: EtcdClient, prefix: bytes
) -> None:
    old = client.put(Put(prefix + b"a", b"1"))
    for number in range(10):
        last = client.put(Put(prefix + b"a", b"%d" % number))
    compact(client, last)
    with contextlib.closing(client.watch(prefix, old)) as watch:
        found: list[WatchAnswer] = []
        while len(found) < 2:
            found += watch.read(30.0)
        assert found[-1].canceled
        assert found[-1].compact_revision == last
    with pytest.raises(Compacted):
        client.range(Range(prefix + b"a", revision=old))
    # The watch reports the last state, which the compaction has kept.
    with contextlib.closing(client.watch(prefix, last)) as watch:
        assert told(answers_of(watch, 1)) == [("PUT", prefix + b"a", b"9")]


def test_a_list_of_which_pages_were_compacted_says_so(
    client: EtcdClient, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        client.put(Put(prefix + b"%d" % number, b""))
    read = client.range

    def compacting(request: Range) -> object:
        answer = read(request)
        if not request.revision:
            compact(client, client.put(Put(prefix + b"9", b"")))
        return answer

    monkeypatch.setattr(client, "range", compacting)
    with pytest.raises(Compacted):
        client.list(prefix, 2)


def test_a_transaction_that_is_too_large_is_refused_in_one_line(
    client: EtcdClient, prefix: bytes
) -> None:
    puts = [operation(Put(prefix + b"%d" % number, b"")) for number in range(129)]
    with pytest.raises(EtcdRefused, match="too many operations"):
        client.transact(Transaction(success=puts))
    twice = [operation(Put(prefix + b"a", b""))] * 2
    with pytest.raises(EtcdRefused, match="duplicate key"):
        client.transact(Transaction(success=twice))
    with pytest.raises(EtcdRefused, match="too large"):
        client.put(Put(prefix + b"a", bytes(2 * 1024 * 1024)))
    assert client.put(Put(prefix + b"a", bytes(1024 * 1024)))


# Failures


def test_a_member_that_is_not_there_is_passed_by(
    etcd: EtcdCluster, prefix: bytes
) -> None:
    gone = Endpoint("127.0.0.1", free_port())
    with etcd_client([gone, *etcd.endpoints]) as client:
        assert client.transact(
            Transaction(success=[operation(Put(prefix + b"a", b""))])
        ).succeeded
        with contextlib.closing(client.watch(prefix, 1)) as watch:
            assert watch.endpoint == etcd.endpoints[0]


def test_nobody_there_is_one_line_that_names_each(prefix: bytes) -> None:
    gone = [Endpoint("127.0.0.1", free_port()) for _ in range(2)]
    with etcd_client(gone) as client:
        with pytest.raises(EtcdUnreachable) as raised:
            client.list(prefix)
        with pytest.raises(EtcdUnreachable, match="refused") as watching:
            client.watch(prefix, 1)
    told = "; ".join(f"{each}: connection refused" for each in gone)
    assert str(raised.value) == f"etcd does not answer: {told}"
    assert not raised.value.maybe_done
    assert not watching.value.maybe_done


def test_silence_ends_at_the_deadline_and_the_next_request_is_asked_anew(
    etcd: EtcdCluster, prefix: bytes
) -> None:
    with tcp_relay(etcd.endpoints[0]) as relay:
        through = [Endpoint("127.0.0.1", relay.port)]
        with etcd_client(through, timeout_s=0.3) as client:
            revision = client.put(Put(prefix + b"a", b"1"))
            relay.cut()
            with pytest.raises(EtcdUnreachable, match="no answer in time") as raised:
                client.transact(
                    Transaction(success=[operation(Put(prefix + b"b", b""))])
                )
            assert raised.value.maybe_done
            relay.heal()
        with etcd_client(through) as client:
            assert client.range(Range(prefix + b"a")).kvs[0].mod_revision == revision


def test_a_transaction_without_an_answer_is_not_repeated(
    etcd: EtcdCluster, prefix: bytes
) -> None:
    with tcp_relay(etcd.endpoints[0]) as relay:
        through = [Endpoint("127.0.0.1", relay.port), *etcd.endpoints]
        with etcd_client(through, timeout_s=1.0) as client:
            client.list(prefix)
            relay.hold_answers()
            put = Transaction(success=[operation(Put(prefix + b"a", b""))])
            with pytest.raises(EtcdUnreachable) as raised:
                client.transact(put)
            assert raised.value.maybe_done
            assert client.list(prefix).kvs[0].version == 1


def test_a_read_without_an_answer_is_repeated_at_another_member(
    etcd: EtcdCluster, prefix: bytes
) -> None:
    with tcp_relay(etcd.endpoints[0]) as relay:
        through = [Endpoint("127.0.0.1", relay.port), *etcd.endpoints]
        with etcd_client(through, timeout_s=1.0) as client:
            client.put(Put(prefix + b"a", b""))
            relay.cut()
            assert len(client.list(prefix).kvs) == 1


def test_a_connection_that_has_ended_meanwhile_is_made_anew(
    etcd: EtcdCluster, prefix: bytes
) -> None:
    with (
        tcp_relay(etcd.endpoints[0]) as relay,
        etcd_client([Endpoint("127.0.0.1", relay.port)]) as client,
    ):
        client.put(Put(prefix + b"a", b""))
        relay.reset()
        put = Transaction(success=[operation(Put(prefix + b"b", b""))])
        assert client.transact(put).succeeded


def test_a_watch_that_breaks_says_so_and_resumes_without_a_gap(
    etcd: EtcdCluster, client: EtcdClient, prefix: bytes
) -> None:
    with (
        tcp_relay(etcd.endpoints[0]) as relay,
        etcd_client([Endpoint("127.0.0.1", relay.port)]) as watching,
    ):
        first = client.put(Put(prefix + b"a", b"1"))
        with contextlib.closing(watching.watch(prefix, first)) as watch:
            answers_of(watch, 1)
            relay.reset()
            client.put(Put(prefix + b"a", b"2"))
            with pytest.raises(EtcdUnreachable):
                watch.read(30.0)
        client.put(Put(prefix + b"a", b"3"))
        with contextlib.closing(watching.watch(prefix, first + 1)) as watch:
            values = [value for _, _, value in told(answers_of(watch, 2))]
            assert values == [b"2", b"3"]


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", EtcdUnreachable, "not HTTP"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n\x1bnope",
            EtcdRefused,
            "not etcd 3.4 or later: HTTP 404: .x1bnope",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1, 2, 3]",
            EtcdRefused,
            "not an answer of etcd",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            EtcdUnreachable,
            "in time",
        ),
        (b"", EtcdUnreachable, "closed the connection"),
    ],
)
def test_a_stranger_at_the_port_is_told_in_one_line(
    said: bytes, error: type[Exception], text: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as one:
                one.recv(65536)
                one.sendall(said)
                if said:
                    one.settimeout(30)
                    while one.recv(65536):
                        pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with (
            etcd_client([Endpoint("127.0.0.1", port)], timeout_s=0.5) as client,
            pytest.raises(error, match=text) as raised,
        ):
            client.list(b"/x/")
        thread.join()
    assert "\n" not in str(raised.value)
    assert str(raised.value).isprintable()
