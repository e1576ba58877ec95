"""Brokers of a group with a model of etcd: for any loss, delay or restore, in the end
each client is at the broker of its last registration, and all brokers know that."""

from __future__ import annotations

import contextlib
import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support.etcd_model import EtcdModel

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    BrokerWent,
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    PutClient,
)
from pubsub_broker.registry.etcd.errors import LeaseGone
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.records import Keys, client_name, encode, left_name
from pubsub_broker.registry.etcd.requests import Transaction
from pubsub_broker.registry.interface import Client

KEYS = Keys("lab")
ABOUT = About(format=1, model="decentralized")
ALIVE_S, CLIENTS_S = 3, 15


def client_of(session: int, topic: str = "A") -> Client:
    return Client(
        session=session,
        role="publisher",
        address=f"10.0.0.{session}:5556",
        topics=(topic,),
        clock="realtime",
    )


def group_of(broker: str, about: About = ABOUT) -> Group:
    record = BrokerRecord(address="10.0.0.1:5555", version="0.1.0")
    return Group(KEYS, broker, about, record, alive_s=ALIVE_S, clients_s=CLIENTS_S)


class Shell:
    """The work of a broker's threads, one step at a time."""

    def __init__(self, group: Group, etcd: EtcdModel) -> None:
        self.group = group
        self.etcd = etcd
        self.told: list[Change] = []

    def follow(self, now: float = 0.0) -> None:
        """Give the mirror all changes."""
        group = self.group
        while True:
            if group.mirror.must_list:
                self.told += group.listed(self.etcd.listing(), now)
            for answer in self.etcd.watch(group.mirror.next_revision):
                self.told += group.watched(answer)
            if not group.mirror.must_list:
                return

    def renew(self, now: float = 0.0) -> None:
        """Renew and grant leases."""
        ids = self.group.to_renew(now)
        if ids:
            self.group.renewed(self.etcd.keep_alive(ids), now)
        for kind, seconds in self.group.to_grant(now).items():
            self.group.granted(kind, self.etcd.grant(seconds), now)

    def write(self, now: float = 0.0) -> bool:
        """Execute one transaction; returns whether there was one."""
        request = self.group.to_write(now)
        if request is None:
            return False
        try:
            answer = self.etcd.transact(request)
        except LeaseGone:
            self.group.lease_gone()
            self.renew(now)
            return True
        self.told += self.group.answered(answer)
        return True

    def settle(self, now: float = 0.0) -> None:
        """Do all pending work."""
        for _ in range(3):
            self.follow(now)
            self.renew(now)
            while self.write(now):
                pass

    def holders(self) -> dict[int, str]:
        clients = self.group.mirror.clients()
        return {each.client.session: each.broker for each in clients}


def shells(*brokers: str) -> tuple[EtcdModel, list[Shell]]:
    etcd = EtcdModel()
    made = [Shell(group_of(broker), etcd) for broker in brokers]
    for _ in range(2):
        for shell in made:
            shell.settle()
    return etcd, made


def test_a_broker_writes_itself_and_what_the_group_agrees_on() -> None:
    _, (one, two) = shells("b1", "b2")
    assert one.group.mirror.brokers().keys() == {"b1", "b2"}
    assert one.group.mirror.about == ABOUT
    assert two.group.own.mismatch() == ""
    assert not one.group.cut_off(0.0)
    assert one.group.cut_off(10.0)


def test_a_broker_of_another_model_or_format_finds_that() -> None:
    etcd, _ = shells("b1")
    for about, text in (
        (About(format=1, model="centralized"), "the group is decentralized"),
        (About(format=2, model="decentralized"), "the group has format 1"),
    ):
        other = Shell(group_of("b2", about), etcd)
        other.follow()
        assert text in other.group.own.mismatch()


def test_a_registration_comes_back_with_the_number_of_its_write() -> None:
    _, (one, two) = shells("b1", "b2")
    write = one.group.put_client(client_of(7))
    one.settle()
    two.follow()
    for shell in (one, two):
        put = shell.told[-1]
        assert isinstance(put, PutClient)
        assert (put.record.broker, put.record.write) == ("b1", write)
        assert put.record.client == client_of(7)
    assert not one.group.is_behind()


def test_a_broker_knows_while_it_has_not_heard_of_its_own_write() -> None:
    _, (one,) = shells("b1")
    one.group.put_client(client_of(7))
    one.write()
    assert one.group.is_behind()
    one.follow()
    assert not one.group.is_behind()


def test_a_client_moves_and_its_old_broker_lets_it_be() -> None:
    _, (one, two) = shells("b1", "b2")
    one.group.put_client(client_of(7))
    one.settle()
    two.settle()
    two.group.put_client(client_of(7))
    two.settle()
    one.settle()
    one.group.delete_client(7)  # its lease there has expired
    one.settle()
    two.settle()
    assert one.holders() == two.holders() == {7: "b2"}


def test_a_client_leaves_and_all_are_told_how() -> None:
    _, (one, two) = shells("b1", "b2")
    one.group.put_client(client_of(7))
    one.settle()
    left = LeftRecord(next_sequences={"A": 4})
    one.group.delete_client(7, left)
    one.settle()
    two.follow()
    gone = two.told[-1]
    assert isinstance(gone, DeleteClient)
    assert gone.left == left


def test_a_client_that_leaves_before_its_write_is_told_takes_all_with_it() -> None:
    etcd, (one,) = shells("b1")
    one.group.put_client(client_of(7))
    request = one.group.to_write(0.0)
    assert request is not None
    etcd.transact(request)
    one.group.unanswered()
    one.group.delete_client(7, LeftRecord(next_sequences={"A": 1}))
    one.settle()
    names = {KEYS.name(key) for key in etcd.kvs}
    assert client_name(7) not in names
    assert left_name(7) in names


def test_a_lease_that_is_gone_is_asked_for_before_anything_is_written_again() -> None:
    etcd, (one,) = shells("b1")
    one.group.put_client(client_of(7))
    etcd.gone |= set(range(etcd.leases + 1))
    assert one.group.to_renew(0.5) == []
    assert one.group.to_write(0.5) is not None
    one.group.lease_gone()
    assert len(one.group.to_renew(0.5)) == 2
    one.settle(0.5)
    assert one.holders() == {7: "b1"}


def test_a_client_that_came_and_went_between_two_lists_is_written_again() -> None:
    etcd, (one,) = shells("b1")
    one.group.put_client(client_of(7))
    one.write()
    etcd.end_lease(etcd.kvs[KEYS.key(client_name(7))].lease)
    etcd.compact()
    one.settle(5.0)
    assert one.holders() == {7: "b1"}


def test_the_lease_of_those_that_left_may_be_gone_too() -> None:
    etcd, (one,) = shells("b1")
    for session in (1, 2):
        one.group.put_client(client_of(session))
    one.settle()
    one.group.delete_client(1, LeftRecord())
    one.settle()
    etcd.end_lease(etcd.leases)
    one.group.delete_client(2, LeftRecord(revoked=True))
    one.settle()
    assert KEYS.key(left_name(2)) in etcd.kvs


def test_what_arrives_after_its_client_has_left_is_taken_back() -> None:
    etcd, (one,) = shells("b1")
    one.group.put_client(client_of(7))
    late = one.group.to_write(0.0)
    assert late is not None
    one.group.unanswered()
    one.group.delete_client(7)
    one.settle()
    etcd.transact(late)
    assert KEYS.key(client_name(7)) in etcd.kvs
    one.settle()
    assert KEYS.key(client_name(7)) not in etcd.kvs


def test_a_broker_that_thaws_writes_anew_those_that_are_still_its() -> None:
    etcd, (one, two) = shells("b1", "b2")
    for session in (1, 2, 3):
        one.group.put_client(client_of(session))
    one.settle()
    for lease in {kv.lease for kv in etcd.kvs.values() if b'"b1"' in kv.value}:
        etcd.end_lease(lease)
    two.settle()
    assert two.holders() == {}
    two.group.put_client(client_of(2))
    two.settle()
    now = 30.0
    assert one.group.cut_off(now)
    one.settle(now)
    two.settle(now)
    assert one.holders() == two.holders() == {1: "b1", 2: "b2", 3: "b1"}
    assert not one.group.cut_off(now)


def test_only_the_short_lease_ends_and_clients_are_not_written_again() -> None:
    etcd, (one, two) = shells("b1", "b2")
    one.group.put_client(client_of(7))
    one.settle()
    (alive,) = (kv.lease for kv in etcd.kvs.values() if kv.key.endswith(b"/brokers/b1"))
    etcd.end_lease(alive)
    two.follow()
    assert isinstance(two.told[-1], BrokerWent)
    before = etcd.kvs[KEYS.key(client_name(7))]
    one.settle(5.0)
    two.follow()
    assert two.group.mirror.brokers().keys() == {"b1", "b2"}
    assert etcd.kvs[KEYS.key(client_name(7))] == before


def test_a_restored_backup_gets_all_that_was_written_since() -> None:
    etcd, (one, two) = shells("b1", "b2")
    one.group.put_client(client_of(1))
    one.settle()
    backup = copy.deepcopy(etcd)
    two.follow()
    two.group.put_client(client_of(1))  # moved
    two.group.put_client(client_of(2))
    two.settle()
    one.settle()
    backup.cluster_id = "2"
    for shell in (one, two):
        shell.etcd = backup
        shell.told.clear()
    for _ in range(2):
        one.settle(5.0)
        two.settle(5.0)
    assert one.holders() == two.holders() == {1: "b2", 2: "b2"}
    gone = [each for each in one.told + two.told if isinstance(each, DeleteClient)]
    assert gone == []


# All at random

sessions = st.integers(1, 4)
which = st.integers(0, 1)
fates = st.sampled_from(["answered", "answered", "lost", "answer lost", "late"])


class GroupMachine(RuleBasedStateMachine):
    """Two brokers, and clients that each are at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd, self.shells = shells("b1", "b2")
        self.at: dict[int, int] = {}
        self.late: list[Transaction] = []
        self.backup: EtcdModel | None = None
        self.now = 0.0
        self.left: set[int] = set()
        self.ended = False  # whether leases have expired

    @rule(session=sessions, place=which)
    def registers(self, session: int, place: int) -> None:
        self.at[session] = place
        self.shells[place].group.put_client(client_of(session))

    @rule(session=sessions)
    def leaves(self, session: int) -> None:
        place = self.at.pop(session, None)
        if place is not None:
            self.left.add(session)
            self.shells[place].group.delete_client(session, LeftRecord())

    @rule(place=which, fate=fates)
    def writes(self, place: int, fate: str) -> None:
        group = self.shells[place].group
        if fate == "answered":
            self.shells[place].write(self.now)
            return
        request = group.to_write(self.now)
        if request is None:
            return
        if fate == "late":
            self.late.append(request)
        elif fate == "answer lost":
            with contextlib.suppress(LeaseGone):
                self.etcd.transact(request)
        group.unanswered()

    @precondition(lambda self: self.late)
    @rule()
    def a_late_request_arrives(self) -> None:
        with contextlib.suppress(LeaseGone):
            self.etcd.transact(self.late.pop())

    @rule(place=which)
    def is_told(self, place: int) -> None:
        self.shells[place].follow(self.now)

    @rule(place=which)
    def renews(self, place: int) -> None:
        self.now += 0.1
        self.shells[place].renew(self.now)

    @rule(place=which, short=st.booleans())
    def leases_end(self, place: int, short: bool) -> None:
        self.ended = True
        broker = f'"b{place + 1}"'.encode()
        own = f"/brokers/b{place + 1}".encode()
        ended = {
            kv.lease
            for kv in self.etcd.kvs.values()
            if (kv.key.endswith(own) if short else broker in kv.value)
        }
        for lease in ended - {0}:
            self.etcd.end_lease(lease)

    @rule()
    def is_compacted(self) -> None:
        self.etcd.compact()

    @rule()
    def is_backed_up(self) -> None:
        self.backup = copy.deepcopy(self.etcd)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def is_restored(self) -> None:
        assert self.backup is not None
        cluster = str(int(self.etcd.cluster_id) + 1)
        granted = self.etcd.leases
        self.etcd = copy.deepcopy(self.backup)
        self.etcd.cluster_id = cluster
        # Lease ids are random, and leases that the backup does not have are gone.
        self.etcd.gone |= set(range(self.etcd.leases + 1, granted + 1))
        self.etcd.leases = granted
        self.late.clear()
        for shell in self.shells:
            shell.etcd = self.etcd

    @rule()
    def all_calms_down(self) -> None:
        while self.late:
            self.a_late_request_arrives()
        for _ in range(4):
            self.now += 2.0
            for shell in self.shells:
                shell.settle(self.now)
            # A client that its broker does not know registers again there.
            for session, place in self.at.items():
                if self.shells[place].holders().get(session) != f"b{place + 1}":
                    self.shells[place].group.put_client(client_of(session))
        # The lease of a client that moved before it got a reply expires later at its
        # first broker.
        for session in (1, 2, 3, 4):
            for place, shell in enumerate(self.shells):
                if self.at.get(session) != place:
                    shell.group.delete_client(session)
        self.now += CLIENTS_S
        for shell in self.shells:
            shell.told += shell.group.tick(self.now)
            shell.renew(self.now)
        wanted = {session: f"b{place + 1}" for session, place in self.at.items()}
        for shell in self.shells:
            shell.settle(self.now)
        for shell in self.shells:
            shell.follow(self.now)
            assert shell.holders() == wanted
            assert shell.group.mirror.brokers().keys() == {"b1", "b2"}
            assert not shell.group.is_behind()
            if not self.ended:
                gone = {
                    change.record.client.session
                    for change in shell.told
                    if isinstance(change, DeleteClient)
                }
                assert gone <= self.left, "one was taken for gone"
        there = {
            record.client.session: record.broker
            for _, record in self.etcd.records(KEYS).values()
            if isinstance(record, ClientRecord)
        }
        assert there == wanted
        for kv in self.etcd.kvs.values():
            assert kv.lease not in self.etcd.gone, "it would never end"


GroupMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestGroupMachine = GroupMachine.TestCase


def test_a_value_is_as_small_as_what_it_says() -> None:
    record = ClientRecord(broker="b1", write=1, client=client_of(7))
    assert len(encode(record)) < 250
