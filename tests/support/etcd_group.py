"""The part of a broker in a group on a model of etcd: like `registry.log`, but with the
code that talks to etcd; etcd is a list of writes."""

from __future__ import annotations

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    Change,
    ClientRecord,
    LeftRecord,
    PutClient,
)
from pubsub_broker.registry.etcd.answers import LeaseAnswer
from pubsub_broker.registry.etcd.errors import LeaseGone
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import Model
from support.etcd_model import EtcdModel

KEYS = Keys("lab")
_MOST_WRITES = 50


class EtcdGroup:
    """A group on one model of etcd, with leases that expire."""

    def __init__(
        self, model: Model, *, alive_s: float = 3.0, clients_s: float = 15.0
    ) -> None:
        self.alive_s = alive_s
        self.clients_s = clients_s
        self.etcd = EtcdModel()
        self._about = About(format=1, model=model)
        self._until: dict[int, float] = {}
        self._seconds: dict[int, int] = {}

    @property
    def clients(self) -> dict[int, PutClient]:
        """The records of all clients."""
        return {
            record.client.session: PutClient(record, revision)
            for revision, record in self.etcd.records(KEYS).values()
            if isinstance(record, ClientRecord)
        }

    @property
    def brokers(self) -> dict[str, BrokerRecord]:
        """The live brokers."""
        found = {}
        for key, (_, record) in self.etcd.records(KEYS).items():
            if isinstance(record, BrokerRecord):
                found[key.decode().rpartition("/")[2]] = record
        return found

    def join(self, broker: str, record: BrokerRecord, now: float) -> EtcdMember:
        """A broker joins the group."""
        group = Group(
            KEYS,
            broker,
            self._about,
            record,
            alive_s=int(self.alive_s),
            clients_s=int(self.clients_s),
        )
        member = EtcdMember(self, group)
        member.turn(now)
        return member

    def restart(self, now: float) -> None:
        """etcd was down: existing leases start again."""
        for lease in self._until:
            self._until[lease] = now + self._seconds[lease]

    def restore(self, backup: EtcdModel, now: float) -> None:
        """Another cluster has an earlier state of this one."""
        granted = self.etcd.leases
        backup.cluster_id = str(int(self.etcd.cluster_id) + 1)
        # Lease ids are random, and leases that the backup does not have are gone.
        backup.gone |= set(range(backup.leases + 1, granted + 1))
        backup.gone |= self.etcd.gone
        backup.leases = granted
        self.etcd = backup
        for lease in {kv.lease for kv in backup.kvs.values()} & backup.gone:
            backup.end_lease(lease)
        self.restart(now)

    def end(self, broker: str) -> None:
        """A broker ends normally: its clients stay for a while."""
        for key, kv in list(self.etcd.kvs.items()):
            if key.endswith(f"/brokers/{broker}".encode()):
                self._until.pop(kv.lease, None)
                self.etcd.end_lease(kv.lease)

    def keep_alive(self, leases: list[int], now: float) -> dict[int, int]:
        """Renew leases."""
        seconds = self.etcd.keep_alive(leases)
        for lease in leases:
            if seconds[lease]:
                seconds[lease] = self._seconds[lease]
                self._until[lease] = now + self._seconds[lease]
        return seconds

    def grant(self, ttl_s: int, now: float) -> int:
        """Make a lease."""
        lease = self.etcd.grant(ttl_s).ID
        self._until[lease] = now + ttl_s
        self._seconds[lease] = ttl_s
        return lease

    def tick(self, now: float) -> None:
        """End expired leases."""
        for lease, until in list(self._until.items()):
            if until <= now:
                del self._until[lease]
                self.etcd.end_lease(lease)


class EtcdMember:
    """The part of one broker: the work of its threads, one step at a time."""

    def __init__(self, cluster: EtcdGroup, group: Group) -> None:
        self.reachable = True
        self.group = group
        self._cluster = cluster
        self._changes: list[Change] = []

    def put_client(self, client: Client) -> None:
        """Like `GroupLink`."""
        self.group.put_client(client)

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """Like `GroupLink`."""
        self.group.delete_client(session, left)

    def take_changes(self) -> list[Change]:
        """Like `GroupLink`."""
        taken, self._changes = self._changes, []
        return taken

    def cut_off(self, now: float) -> bool:
        """Like `GroupLink`."""
        return self.group.cut_off(now)

    def turn(self, now: float) -> None:
        """Renew, write pending records, and read changes, as far as etcd is reachable."""
        if not self.reachable:
            return
        self._cluster.tick(now)
        self.read(now)
        self.renew(now)
        self.write(now)
        self.read(now)

    def read(self, now: float) -> None:
        """Read all new changes."""
        group, etcd = self.group, self._cluster.etcd
        while True:
            if group.mirror.must_list:
                self._changes += group.listed(etcd.listing(), now)
            for answer in etcd.watch(group.mirror.next_revision):
                self._changes += group.watched(answer)
            if not group.mirror.must_list:
                self._changes += group.tick(now)
                return

    def renew(self, now: float) -> None:
        """Renew and grant leases."""
        ids = self.group.to_renew(now)
        if ids:
            self.group.renewed(self._cluster.keep_alive(ids, now), now)
        for kind, seconds in self.group.to_grant(now).items():
            lease = self._cluster.grant(seconds, now)
            self.group.granted(kind, LeaseAnswer(lease, seconds), now)

    def write(self, now: float) -> None:
        """Write all pending records."""
        for _ in range(_MOST_WRITES):
            request = self.group.to_write(now)
            if request is None:
                return
            try:
                answer = self._cluster.etcd.transact(request)
            except LeaseGone:
                self.group.lease_gone()
                self.renew(now)
            else:
                self._changes += self.group.answered(answer)
        raise AssertionError("it has always something to write")
