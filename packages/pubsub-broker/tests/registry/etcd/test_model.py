"""The model of etcd in the tests of the cores answers like etcd."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
from support.etcd_model import EtcdModel
from support.etcd_servers import EtcdCluster, etcd_client, etcd_cluster

from pubsub_broker.registry.changes import LeftRecord
from pubsub_broker.registry.etcd.answers import TransactionAnswer, WatchAnswer
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.errors import LeaseGone
from pubsub_broker.registry.etcd.leases import Kind
from pubsub_broker.registry.etcd.proposals import Proposal, outcomes
from pubsub_broker.registry.etcd.records import Keys, client_name, encode, left_name
from pubsub_broker.registry.etcd.requests import Transaction

STEPS = 40


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


class Pair:
    """etcd and its model, with the same requests. Their revisions differ by a number;
    leases have names."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self.client = client
        self.model = EtcdModel()
        self.keys = keys
        self.offset = client.list(keys.prefix).revision - self.model.revision
        self.first = self.model.revision + 1
        self.leases: dict[str, tuple[int, int]] = {}
        self.grant("a")

    def grant(self, name: str) -> None:
        there, here = self.client.grant(600).ID, self.model.grant(600).ID
        self.leases[name] = there, here

    def revoke(self, name: str) -> None:
        there, here = self.leases[name]
        with contextlib.suppress(LeaseGone):
            self.client.revoke(there)
        self.model.end_lease(here)

    def transact(self, proposals: list[Proposal], lease: str) -> None:
        told: list[list[tuple[Any, ...]]] = []
        for offset, leased, carry_out in (
            (self.offset, self.leases[lease][0], self.client.transact),
            (0, self.leases[lease][1], self.model.transact),
        ):
            ids: dict[Kind, int] = {"clients": leased, "left": leased}
            parts = [
                Proposal(
                    name=each.name,
                    value=each.value,
                    lease=each.lease,
                    basis=each.basis + offset if each.basis else 0,
                    left=each.left,
                ).part(self.keys, ids)
                for each in proposals
            ]
            try:
                answer = carry_out(Transaction(success=parts))
            except LeaseGone:
                told.append([])
            else:
                told.append(self.plain(answer, len(parts), offset))
        assert told[0] == told[1]

    def plain(
        self, answer: TransactionAnswer, count: int, offset: int
    ) -> list[tuple[Any, ...]]:
        return [
            (
                answer.header.revision - offset,
                done,
                there and (there.key, there.value, there.mod_revision - offset),
            )
            for done, there in outcomes(answer, count)
        ]

    def compare(self) -> None:
        listing, model = self.client.list(self.keys.prefix, 2), self.model.listing()
        assert listing.revision == model.revision + self.offset
        assert [
            (kv.key, kv.value, kv.mod_revision - self.offset) for kv in listing.kvs
        ] == [(kv.key, kv.value, kv.mod_revision) for kv in model.kvs]
        wanted = events_of(self.model.watch(self.first), 0)
        watch = self.client.watch(self.keys.prefix, self.first + self.offset)
        answers: list[WatchAnswer] = []
        with contextlib.closing(watch):
            while len(found := events_of(answers, self.offset)) < len(wanted):
                answers += watch.read(30.0)
        assert found == wanted


def events_of(answers: list[WatchAnswer], offset: int) -> list[tuple[Any, ...]]:
    """Sorted within a revision: keys of a lease go in any order."""
    return sorted(
        (event.kv.mod_revision - offset, event.kv.key, event.type, event.kv.value)
        for answer in answers
        for event in answer.events
    )


@pytest.mark.parametrize("seed", range(5))
def test_they_answer_the_same(etcd: EtcdCluster, seed: int) -> None:
    chance = random.Random(seed)
    with etcd_client(etcd.endpoints) as client:
        pair = Pair(client, Keys(f"group-{seed}"))
        for step in range(STEPS):
            if chance.random() < 0.1:
                pair.revoke("a")
            if chance.random() < 0.2:
                pair.grant("a")
            revisions = [kv.mod_revision for kv in pair.model.kvs.values()]
            proposals = []
            for session in chance.sample(range(6), chance.randint(1, 4)):
                deleting = chance.random() < 0.3
                left = left_name(session), encode(LeftRecord(revoked=step % 2 > 0))
                kv = pair.model.kvs.get(pair.keys.key(client_name(session)))
                known = 0 if kv is None else kv.mod_revision
                proposals.append(
                    Proposal(
                        name=client_name(session),
                        value=None if deleting else b"%d" % step,
                        lease=None if deleting else "clients",
                        basis=chance.choice([0, known, known, *revisions]),
                        left=left if deleting and chance.random() < 0.7 else None,
                    )
                )
            pair.transact(proposals, "a")
        pair.compare()
