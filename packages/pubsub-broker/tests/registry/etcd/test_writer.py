"""The writer with a model of etcd, another broker that writes the same keys, lost
answers, and late requests."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support.etcd_model import EtcdModel

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    Overtaken,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.answers import OperationAnswer, TransactionAnswer
from pubsub_broker.registry.etcd.errors import EtcdRefused, LeaseGone
from pubsub_broker.registry.etcd.leases import Kind
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.records import (
    ABOUT,
    Keys,
    Name,
    client_name,
    encode,
    left_name,
)
from pubsub_broker.registry.etcd.requests import Transaction
from pubsub_broker.registry.etcd.writer import MAX_BYTES, MAX_KEYS, TooLarge, Writer
from pubsub_broker.registry.interface import Client

KEYS = Keys("lab")
LEASES: dict[Kind, int] = {"alive": 1, "clients": 2, "left": 3}


def record(
    session: int, write: int = 1, broker: str = "b1", topic: str = "A"
) -> ClientRecord:
    client = Client(
        session=session,
        role="publisher",
        address=f"10.0.0.1:{session}",
        topics=(topic,),
        clock="realtime",
    )
    return ClientRecord(broker=broker, write=write, client=client)


def put(writer: Writer, session: int, write: int = 1, basis: int = 0) -> None:
    writer.put(client_name(session), record(session, write), "clients", basis)


def send(writer: Writer, etcd: EtcdModel) -> list[Overtaken]:
    """Write once."""
    request = writer.transaction(LEASES)
    assert request is not None
    return writer.answered(etcd.transact(request))


def write_of_other(etcd: EtcdModel, session: int, write: int = 1) -> None:
    value = encode(record(session, write, "b2"))
    etcd.write([(KEYS.key(client_name(session)), value)])


def there(etcd: EtcdModel) -> dict[Name, Any]:
    found = {}
    for key, (_, each) in etcd.records(KEYS).items():
        name = KEYS.name(key)
        assert name is not None
        found[name] = each
    return found


# Single rules


def test_what_is_proposed_together_is_one_revision() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    for session in (1, 2, 3):
        put(writer, session)
    assert send(writer, etcd) == []
    assert etcd.revision == writer.revision == 2
    assert there(etcd) == {client_name(n): record(n) for n in (1, 2, 3)}
    assert {kv.lease for kv in etcd.kvs.values()} == {LEASES["clients"]}
    assert writer.transaction(LEASES) is None
    assert not writer.waits


def test_a_transaction_has_a_bound_of_keys_and_each_key_once() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    for session in range(2 * MAX_KEYS + 1):
        put(writer, session)
        put(writer, session, 2)
    sizes = []
    while request := writer.transaction(LEASES):
        sizes.append(len(request.success))
        writer.answered(etcd.transact(request))
    assert sizes == [MAX_KEYS, MAX_KEYS, 1]
    assert all(each.write == 2 for each in there(etcd).values())


def test_a_transaction_has_a_bound_of_bytes() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    for session in range(10):
        large = record(session, topic="x" * (MAX_BYTES // 4))
        writer.put(client_name(session), large, "clients", 0)
    count = 0
    while request := writer.transaction(LEASES):
        assert len(request.success) == (3 if count < 3 else 1)
        writer.answered(etcd.transact(request))
        count += 1
    assert count == 4


def test_what_can_never_be_written_is_refused_at_once() -> None:
    writer = Writer(KEYS, "b1")
    with pytest.raises(TooLarge):
        writer.put(client_name(1), record(1, topic="x" * MAX_BYTES), "clients", 0)
    assert not writer.waits


def test_without_a_lease_nothing_waits_for_those_that_need_none() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    writer.put(ABOUT, About(format=1, model="centralized"), None, 0)
    request = writer.transaction({})
    assert request is not None
    writer.answered(etcd.transact(request))
    assert there(etcd).keys() == {ABOUT}
    assert writer.transaction({}) is None
    assert writer.waits


def test_a_client_that_leaves_takes_its_key_and_leaves_word() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    send(writer, etcd)
    assert not writer.leaving
    writer.delete_client(1, LeftRecord(next_sequences={"A": 3}), 2)
    assert writer.leaving
    send(writer, etcd)
    assert there(etcd) == {left_name(1): LeftRecord(next_sequences={"A": 3})}
    assert etcd.revision == 3


def test_a_client_that_was_never_written_is_not_there_afterwards() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    writer.delete_client(1, None, 0)
    assert send(writer, etcd) == []
    assert there(etcd) == {}
    assert not writer.waits


def test_what_changes_nothing_has_no_revision_that_the_mirror_could_come_to() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    etcd.write([(b"/pubsub/another group/about", b"")])
    writer.delete_client(1, None, 0)
    send(writer, etcd)
    assert writer.revision == 0
    put(writer, 1)
    send(writer, etcd)
    assert writer.revision == etcd.revision == 3


def test_a_delete_does_not_hit_a_client_that_moved() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    send(writer, etcd)
    write_of_other(etcd, 1)
    writer.delete_client(1, LeftRecord(), 2)
    assert send(writer, etcd) == [Overtaken(1)]
    assert there(etcd) == {client_name(1): record(1, 1, "b2")}


def test_a_put_does_not_hit_a_client_that_moved_and_others_are_written() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    put(writer, 2)
    write_of_other(etcd, 1)
    assert send(writer, etcd) == [Overtaken(1)]
    assert there(etcd) == {
        client_name(1): record(1, 1, "b2"),
        client_name(2): record(2),
    }


def test_what_another_broker_wrote_meanwhile_drops_what_waits() -> None:
    writer = Writer(KEYS, "b1")
    put(writer, 1)
    moved = PutClient(record(1, 1, "b2"), 5)
    assert writer.observed(moved) == [Overtaken(1)]
    assert not writer.waits
    put(writer, 1, 2, basis=5)  # and back again
    assert writer.observed(moved) == []
    assert writer.waits


def test_an_answer_that_is_lost_is_no_reason_to_write_twice() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    request = writer.transaction(LEASES)
    assert request is not None
    etcd.transact(request)
    writer.unanswered()
    assert send(writer, etcd) == []
    assert etcd.revision == writer.revision == 2
    assert not writer.waits


def test_a_later_proposal_takes_the_place_of_one_without_an_answer() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    request = writer.transaction(LEASES)
    assert request is not None
    put(writer, 1, 2)
    etcd.transact(request)
    writer.unanswered()
    assert send(writer, etcd) == []  # finds its first write there
    assert send(writer, etcd) == []
    assert there(etcd) == {client_name(1): record(1, 2)}


def test_a_key_that_went_with_its_lease_is_written_again() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    put(writer, 1)
    send(writer, etcd)
    etcd.end_lease(LEASES["clients"])
    etcd.gone.clear()
    put(writer, 1, 2, basis=2)
    assert send(writer, etcd) == []
    assert writer.waits
    assert send(writer, etcd) == []
    assert there(etcd) == {client_name(1): record(1, 2)}


def test_the_brokers_own_key_is_nobody_elses() -> None:
    etcd, writer = EtcdModel(), Writer(KEYS, "b1")
    name = Name("brokers", "b1")
    for address in ("10.0.0.1:1", "10.0.0.2:1"):
        value = BrokerRecord(address=address, version="1")
        writer.put(name, value, "alive", 0)
        request = writer.transaction(LEASES)
        assert request is not None
        etcd.transact(request)
        writer.unanswered()
    while writer.waits:
        assert send(writer, etcd) == []
    assert there(etcd) == {name: value}


def test_after_a_restored_backup_all_that_waits_is_void() -> None:
    writer = Writer(KEYS, "b1")
    put(writer, 1, basis=700)
    request = writer.transaction(LEASES)
    put(writer, 2)
    assert request is not None
    assert writer.observed(Restored(5)) == []
    assert not writer.waits
    writer.unanswered()
    assert not writer.waits


@pytest.mark.parametrize("responses", [[], [OperationAnswer()]])
def test_an_answer_with_other_parts_is_none(responses: list[OperationAnswer]) -> None:
    writer = Writer(KEYS, "b1")
    put(writer, 1)
    assert writer.transaction(LEASES) is not None
    with pytest.raises(EtcdRefused, match="other parts"):
        writer.answered(TransactionAnswer(responses=responses))
    writer.unanswered()
    assert writer.waits


# All at random

sessions = st.integers(1, 4)
fates = st.sampled_from(["answered", "answered", "lost", "answer lost", "late"])


class WriterMachine(RuleBasedStateMachine):
    """A broker with a mirror and a writer, and another broker."""

    def __init__(self) -> None:
        super().__init__()
        self.etcd = EtcdModel()
        self.mirror = Mirror(KEYS, hold_s=15.0)
        self.writer = Writer(KEYS, "b1")
        self.wanted: dict[int, ClientRecord] = {}
        self.late: list[Transaction] = []
        self.writes = 0
        self.leases = dict(LEASES)
        self.observe()

    # The broker

    def observe(self) -> None:
        """The mirror gets all changes, and the broker reacts."""
        while True:
            if self.mirror.must_list:
                self.follow(self.mirror.listed(self.etcd.listing(), 0.0))
                for session, wanted in self.wanted.items():
                    # It came and went before the mirror got it.
                    if self.mirror.client(session) is None:
                        self.propose(wanted)
            for answer in self.etcd.watch(self.mirror.next_revision):
                self.follow(self.mirror.watched(answer))
            if not self.mirror.must_list:
                return

    def follow(self, changes: list[Change]) -> None:
        for change in changes:
            for overtaken in self.writer.observed(change):
                self.wanted.pop(overtaken.session, None)
            match change:
                case PutClient(record=told) if told.broker == "b2":
                    self.wanted.pop(told.client.session, None)
                case PutClient(record=told, revision=revision):
                    if told.client.session not in self.wanted:
                        self.writer.delete_client(told.client.session, None, revision)
                case DeleteClient(record=told):
                    own = self.wanted.get(told.client.session)
                    if own is not None:
                        self.propose(own)

    def propose(self, wanted: ClientRecord) -> None:
        name = client_name(wanted.client.session)
        self.writer.put(name, wanted, "clients", self.mirror.written_at(name))

    @rule(session=sessions)
    def a_client_registers(self, session: int) -> None:
        self.writes += 1
        self.wanted[session] = record(session, self.writes)
        self.propose(self.wanted[session])

    @rule(session=sessions)
    def a_client_leaves(self, session: int) -> None:
        if self.wanted.pop(session, None) is not None:
            basis = self.mirror.written_at(client_name(session))
            self.writer.delete_client(session, LeftRecord(), basis)

    @rule(fate=fates)
    def writes_once(self, fate: str) -> None:
        request = self.writer.transaction(self.leases)
        if request is None:
            return
        if fate == "late":
            self.late.append(request)
        if fate in ("lost", "late"):
            self.writer.unanswered()
            return
        try:
            answer = self.carry_out(request)
        except LeaseGone:
            self.writer.unanswered()
            self.leases["clients"] += 10
            for wanted in self.wanted.values():
                self.propose(wanted)
            return
        if fate == "answer lost":
            self.writer.unanswered()
            return
        for overtaken in self.writer.answered(answer):
            self.wanted.pop(overtaken.session, None)

    @precondition(lambda self: self.late)
    @rule()
    def a_late_request_arrives(self) -> None:
        with contextlib.suppress(LeaseGone):
            self.carry_out(self.late.pop())

    def carry_out(self, request: Transaction) -> TransactionAnswer:
        before = dict(self.etcd.kvs)
        answer = self.etcd.transact(request)
        for key, kv in before.items():
            of_other = b'"b2"' in kv.value
            if of_other and self.etcd.kvs.get(key) != kv:
                assert kv.mod_revision <= self.mirror.revision, "written over unseen"
        return answer

    # Other events

    @rule()
    def the_mirror_is_told_all(self) -> None:
        self.observe()

    @rule(session=sessions)
    def a_client_moves_to_the_other(self, session: int) -> None:
        self.writes += 1
        write_of_other(self.etcd, session, self.writes)

    @rule(session=sessions)
    def the_other_deletes_its_own(self, session: int) -> None:
        key = KEYS.key(client_name(session))
        kv = self.etcd.kvs.get(key)
        if kv is not None and b'"b2"' in kv.value:
            self.etcd.write([(key, None)])

    @rule()
    def the_lease_ends(self) -> None:
        self.etcd.end_lease(self.leases["clients"])

    @rule()
    def is_compacted(self) -> None:
        self.etcd.compact()

    @rule()
    def all_calms_down(self) -> None:
        """In the end etcd has the records that this broker wants."""
        while self.late:
            self.a_late_request_arrives()
        for _ in range(6):
            self.observe()
            while self.writer.waits:
                self.writes_once("answered")
        assert not self.writer.waits
        own = {
            each.client.session: each
            for each in there(self.etcd).values()
            if isinstance(each, ClientRecord) and each.broker == "b1"
        }
        assert own == self.wanted


WriterMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestWriterMachine = WriterMachine.TestCase
