"""The mirror with a model of etcd: for any answers, split in any way, it has the state
of etcd, and has reported each change in etcd's order."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.etcd_model import EtcdModel

from pubsub_broker.registry.changes import (
    About,
    AboutTold,
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    Malformed,
    Overtaken,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.answers import Event, Header, KeyValue, WatchAnswer
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.records import (
    ABOUT,
    Keys,
    Name,
    Record,
    client_name,
    encode,
    left_name,
)
from pubsub_broker.registry.interface import Client
from pubsub_common.errors import ConfigError

KEYS = Keys("lab")
HOLD_S = 15.0


def client_record(session: int, broker: str = "b1", write: int = 1) -> ClientRecord:
    client = Client(
        session=session,
        role="publisher",
        address=f"10.0.0.{session}:5556",
        topics=("A", "b/é"),
        clock="realtime",
        strengths={"A": 2},
    )
    return ClientRecord(broker=broker, write=write, client=client)


def put(name: Name, record: Record) -> tuple[bytes, bytes | None]:
    return KEYS.key(name), encode(record)


def put_client(
    session: int, broker: str = "b1", write: int = 1
) -> tuple[bytes, bytes | None]:
    return put(client_name(session), client_record(session, broker, write))


def gone(name: Name) -> tuple[bytes, bytes | None]:
    return KEYS.key(name), None


def watching(etcd: EtcdModel) -> Mirror:
    mirror = Mirror(KEYS, hold_s=HOLD_S)
    mirror.listed(etcd.listing(), 0.0)
    return mirror


def follow(mirror: Mirror, answers: Sequence[WatchAnswer]) -> list[Change]:
    return [change for answer in answers for change in mirror.watched(answer)]


def catch_up(mirror: Mirror, etcd: EtcdModel, now: float = 0.0) -> list[Change]:
    """Do the work of a shell until the mirror is up to date."""
    changes: list[Change] = []
    while True:
        if mirror.must_list:
            changes += mirror.listed(etcd.listing(), now)
        changes += follow(mirror, etcd.watch(mirror.next_revision))
        if not mirror.must_list:
            return changes


# Single rules


def test_each_change_is_told_at_its_revision() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    about, broker = About(format=1, model="centralized"), Name("brokers", "b1")
    there = BrokerRecord(address="10.0.0.1:5555", version="0.1.0")
    etcd.write([put(ABOUT, about)])
    etcd.write([put(broker, there), put_client(7)])
    etcd.write([gone(client_name(7))])
    etcd.write([gone(broker), gone(ABOUT)])
    assert follow(mirror, etcd.watch(mirror.next_revision)) == [
        AboutTold(about, 2),
        BrokerCame("b1", there, 3),
        PutClient(client_record(7), 3),
        DeleteClient(client_record(7), None, 4),
        BrokerWent("b1", 5),
        AboutTold(None, 5),
    ]
    assert mirror.revision == 5


def test_a_client_that_left_says_how() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    left = LeftRecord(next_sequences={"A": 12})
    etcd.write([put_client(7)])
    etcd.write([gone(client_name(7)), put(left_name(7), left)])
    assert catch_up(mirror, etcd)[-1] == DeleteClient(client_record(7), left, 3)


def test_how_a_client_left_before_it_came_back_does_not_count() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    etcd.write([put_client(7)])
    etcd.write([gone(client_name(7)), put(left_name(7), LeftRecord())])
    etcd.write([put_client(7, write=2)], lease=5)
    etcd.end_lease(5)
    assert catch_up(mirror, etcd)[-1] == DeleteClient(
        client_record(7, write=2), None, 5
    )


def test_a_list_tells_how_clients_left_meanwhile() -> None:
    etcd = EtcdModel()
    etcd.write([put_client(7), put_client(8)])
    mirror = watching(etcd)
    left = LeftRecord(revoked=True)
    etcd.write([gone(client_name(7)), put(left_name(7), left)])
    etcd.write([put_client(9), gone(client_name(8))])
    etcd.compact()
    assert follow(mirror, etcd.watch(mirror.next_revision)) == []
    assert mirror.must_list == "the history after 2 is compacted"
    assert mirror.listed(etcd.listing(), 0.0) == [
        DeleteClient(client_record(7), left, 4),
        DeleteClient(client_record(8), None, 4),
        PutClient(client_record(9), 4),
    ]


def test_a_list_tells_what_is_new_in_the_order_of_its_writing() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    for session in (8, 7, 9):
        etcd.write([put_client(session)])
    assert mirror.listed(etcd.listing(), 0.0) == [
        PutClient(client_record(session), revision)
        for revision, session in enumerate((8, 7, 9), 2)
    ]


def test_a_member_that_is_behind_costs_a_list_and_changes_nothing() -> None:
    etcd = EtcdModel()
    etcd.write([put_client(7)])
    mirror = watching(etcd)
    assert follow(mirror, etcd.watch(mirror.next_revision, behind=1)) == []
    assert mirror.must_list == "a member is only at revision 1"
    assert mirror.listed(etcd.listing(), 0.0) == []
    assert not mirror.must_list


def test_a_value_that_is_not_understood_counts_as_not_there() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    key = KEYS.key(client_name(7))
    etcd.write([put_client(7)])
    etcd.write([(key, b"{")])
    *before, malformed = catch_up(mirror, etcd)
    assert before[-1] == DeleteClient(client_record(7), None, 3)
    assert isinstance(malformed, Malformed)
    assert malformed.key == key
    etcd.write([(key, encode(client_record(8)))])
    (malformed,) = catch_up(mirror, etcd)
    assert isinstance(malformed, Malformed)
    assert malformed.reason == "its session is not that of its key"


def test_fields_that_are_not_known_are_ignored() -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    value = encode(client_record(7))[:-1] + b',"later":[1]}'
    etcd.write([(KEYS.key(client_name(7)), value)])
    assert catch_up(mirror, etcd) == [PutClient(client_record(7), 2)]


@pytest.mark.parametrize(
    "key",
    [
        *(b"other", b"about/x", b"brokers/", b"brokers/a b", b"clients/7", b"brokers"),
        *(b"left/" + b"g" * 14, b"clients/" + b"0" * 15, b"clients/\xff", b""),
    ],
)
def test_other_keys_of_the_prefix_are_not_looked_at(key: bytes) -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    etcd.write([(KEYS.prefix + key, b"?")])
    assert catch_up(mirror, etcd) == []


def test_clients_that_a_restored_etcd_has_forgotten_are_kept_for_a_while() -> None:
    etcd = EtcdModel()
    etcd.write([put_client(7)])
    backup = copy.deepcopy(etcd)
    etcd.write([put_client(8), put_client(9)])
    etcd.write([put_client(8, write=2)])
    mirror = watching(etcd)
    backup.cluster_id = "2"
    follow(mirror, backup.watch(mirror.next_revision))
    assert mirror.must_list == "it is another cluster"
    assert mirror.listed(backup.listing(), 100.0) == [
        Restored(2),
        PutClient(client_record(7), 2),
    ]
    assert mirror.next_deadline() == 100.0 + HOLD_S
    assert mirror.written_at(client_name(8)) == 0
    # Its broker writes one of them again, at a revision that was used before.
    backup.write([put_client(8, write=3)])
    assert catch_up(mirror, backup) == [PutClient(client_record(8, write=3), 3)]
    assert mirror.tick(100.0 + HOLD_S) == [DeleteClient(client_record(9), None, 3)]
    assert mirror.next_deadline() is None


@pytest.mark.parametrize("group", ["", "a/b", "-a", "a b", "ä", "a" * 65])
def test_a_group_has_a_name_that_can_be_part_of_a_key(group: str) -> None:
    with pytest.raises(ConfigError, match=r"^group must be"):
        Keys(group)


# All at random

names = st.sampled_from(
    [ABOUT, Name("brokers", "b1"), Name("brokers", "b2")]
    + [client_name(session) for session in (1, 2, 3)]
    + [left_name(session) for session in (1, 2, 3)]
)
writes = st.lists(
    st.tuples(names, st.booleans(), st.integers(1, 3)),
    min_size=1,
    max_size=4,
    unique_by=lambda write: write[0],
)


def record_of(name: Name, number: int) -> Record:
    match name.kind:
        case "about":
            return About(format=number, model="decentralized")
        case "brokers":
            return BrokerRecord(address=f"10.0.0.{number}:1", version="1")
        case "left":
            return LeftRecord(next_sequences={"A": number})
        case "clients":
            return client_record(int(name.name, 16), f"b{number}", number)


def change_list(
    write: list[tuple[Name, bool, int]],
) -> list[tuple[bytes, bytes | None]]:
    return [
        put(name, record_of(name, number)) if there else gone(name)
        for name, there, number in write
    ]


def regrouped(
    answers: Sequence[WatchAnswer], chance: random.Random
) -> list[WatchAnswer]:
    """The same events in other answers: some combined, some revisions split."""
    header = answers[0].header if answers else Header()
    found: list[list[Event]] = []
    for answer in answers:
        events = list(answer.events)
        at = chance.randint(0, len(events))
        for part in (events[:at], events[at:]):
            if found and chance.random() < 0.5:
                found[-1] += part
            elif part:
                found.append(list(part))
    return [WatchAnswer(header, events) for events in found]


def expected(log: Sequence[tuple[int, list[Event]]]) -> list[tuple[str, int]]:
    """The changes, by key, in the order of a log, without the departures' details."""
    return [
        (event.kv.key.decode(), revision)
        for revision, events in log
        for event in sorted(events, key=lambda event: b"/left/" not in event.kv.key)
        if b"/left/" not in event.kv.key
    ]


def as_expected(changes: Sequence[Change]) -> list[tuple[str, int]]:
    found = []
    for change in changes:
        match change:
            case PutClient(record=record) | DeleteClient(record=record):
                name = client_name(record.client.session)
            case BrokerCame(broker=broker) | BrokerWent(broker=broker):
                name = Name("brokers", broker)
            case AboutTold():
                name = ABOUT
            case _:
                raise AssertionError(change)
        found.append((KEYS.key(name).decode(), change.revision))
    return found


@given(st.lists(writes, max_size=20), st.randoms(use_true_random=False))
def test_a_watch_tells_exactly_what_was_written_however_it_is_cut_up(
    history: list[list[tuple[Name, bool, int]]], chance: random.Random
) -> None:
    etcd = EtcdModel()
    mirror = watching(etcd)
    for write in history:
        etcd.write(change_list(write))
    answers = regrouped(etcd.watch(mirror.next_revision), chance)
    # Some answers come repeatedly.
    told = [each for answer in answers for each in [answer] * chance.choice((1, 1, 2))]
    assert as_expected(follow(mirror, told)) == expected(etcd.log)


class MirrorMachine(RuleBasedStateMachine):
    """One mirror, and a client of it that applies its changes."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd = EtcdModel()
        self.mirror = Mirror(KEYS, hold_s=HOLD_S)
        self.applied: dict[Name, Record] = {}
        self.backup: EtcdModel | None = None
        self.waiting: list[WatchAnswer] = []
        self.now = 0.0
        self.last = 0

    def apply(self, changes: Sequence[Change], *, watched: bool = False) -> None:
        for change in changes:
            assert not isinstance(change, Overtaken), "that is the writer's to tell"
            if watched:
                assert change.revision >= self.last
            self.last = change.revision
            match change:
                case PutClient(record=record):
                    self.applied[client_name(record.client.session)] = record
                case DeleteClient(record=record):
                    assert (
                        self.applied.pop(client_name(record.client.session)) == record
                    )
                case BrokerCame(broker=broker, record=there):
                    self.applied[Name("brokers", broker)] = there
                case BrokerWent(broker=broker):
                    del self.applied[Name("brokers", broker)]
                case AboutTold(about=None):
                    del self.applied[ABOUT]
                case AboutTold(about=about):
                    assert about is not None
                    self.applied[ABOUT] = about

    @rule(write=writes)
    def is_written(self, write: list[tuple[Name, bool, int]]) -> None:
        self.etcd.write(change_list(write))

    @rule()
    def is_compacted(self) -> None:
        self.etcd.compact()

    @rule()
    def is_backed_up(self) -> None:
        self.backup = copy.deepcopy(self.etcd)

    @precondition(lambda self: self.backup is not None)
    @rule(other=st.booleans())
    def is_restored(self, other: bool) -> None:
        assert self.backup is not None
        if self.backup.revision == self.etcd.revision and not other:
            return  # there is no difference
        cluster = str(int(self.etcd.cluster_id) + other)
        self.etcd = copy.deepcopy(self.backup)
        self.etcd.cluster_id = cluster
        self.waiting = []
        # A broker with a broken watch detects this before new writes hide it.
        self.lists() if not other else self.watch_begins(0)

    @rule(behind=st.integers(0, 1))
    def watch_begins(self, behind: int) -> None:
        self.waiting = self.etcd.watch(self.mirror.next_revision, behind)

    @rule(chance=st.randoms(use_true_random=False))
    def watch_is_cut_up(self, chance: random.Random) -> None:
        if self.waiting and not self.waiting[0].created:
            self.waiting = regrouped(self.waiting, chance)

    @precondition(lambda self: self.waiting)
    @rule(twice=st.booleans())
    def an_answer_comes(self, twice: bool) -> None:
        answer = self.waiting.pop(0)
        for _ in range(1 + twice):
            self.apply(self.mirror.watched(answer), watched=True)
        if self.mirror.must_list:
            self.waiting = []

    @rule()
    def lists(self) -> None:
        self.waiting = []
        self.apply(self.mirror.listed(self.etcd.listing(), self.now))
        self.last = 0

    @rule(seconds=st.sampled_from([1.0, HOLD_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.apply(self.mirror.tick(self.now))

    @rule()
    def all_is_told(self) -> None:
        self.waiting = []
        self.apply(catch_up(self.mirror, self.etcd, self.now))
        self.apply(self.mirror.tick(self.now + HOLD_S))
        self.now += HOLD_S
        self.last = 0
        there = self.etcd.records(KEYS)
        known = {
            KEYS.key(name): record
            for name, record in self.applied.items()
            if name.kind != "left"
        }
        assert known == {
            key: record for key, (_, record) in there.items() if b"/left/" not in key
        }
        for key, (revision, _) in there.items():
            name = KEYS.name(key)
            assert name is not None
            assert self.mirror.written_at(name) == revision

    @invariant()
    def what_was_told_is_what_it_has(self) -> None:
        clients = {
            client_name(record.client.session): record
            for record in self.mirror.clients()
        }
        brokers = {
            Name("brokers", broker): record
            for broker, record in self.mirror.brokers().items()
        }
        told = {name: each for name, each in self.applied.items() if name != ABOUT}
        assert told == {**clients, **brokers}


MirrorMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestMirrorMachine = MirrorMachine.TestCase


def test_an_event_of_a_key_that_is_not_the_groups_moves_the_revision() -> None:
    mirror = watching(EtcdModel())
    event = Event(KeyValue(b"/elsewhere", b"", 9))
    mirror.watched(WatchAnswer(Header("1", 9), [event]))
    assert mirror.next_revision == 10
