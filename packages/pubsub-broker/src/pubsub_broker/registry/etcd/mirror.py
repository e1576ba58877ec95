"""A copy of a group's state in etcd: lists and watches in, changes out.

The order of changes is etcd's, the same at all brokers. A repeated change has no
effect. If history is missing, because it was compacted or a member lags, the mirror
requests a list and derives the changes from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

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
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.answers import Event, KeyValue, Listing, WatchAnswer
from pubsub_broker.registry.etcd.records import (
    ABOUT,
    Keys,
    Name,
    Record,
    client_name,
    decode,
    left_name,
)


class _Known(NamedTuple):
    record: Record
    revision: int  # of the last write


class Mirror:
    """``now`` is seconds of one monotonic clock."""

    def __init__(self, keys: Keys, *, hold_s: float) -> None:
        """Clients and brokers that a restored etcd has lost are kept for ``hold_s``: in
        that time their brokers write them again."""
        self.revision = 0
        # the reason; empty if not needed
        self.must_list = "nothing has been listed yet"
        self._keys = keys
        self._hold_s = hold_s
        self._cluster_id = ""
        self._known: dict[Name, _Known] = {}
        self._held: dict[Name, float] = {}  # until when

    # Input

    def listed(self, listing: Listing, now: float) -> list[Change]:
        """All keys of the group were read; from here on `watched` continues at
        `next_revision`. Returns the deletions first, then the writes in their order."""
        restored = self._is_restored(listing)
        self.revision = listing.revision
        self._cluster_id = listing.cluster_id
        self.must_list = ""
        there: dict[Name, KeyValue] = {}
        for kv in sorted(listing.kvs, key=lambda kv: kv.mod_revision):
            if name := self._keys.name(kv.key):
                there[name] = kv
        changes: list[Change] = [Restored(listing.revision)] if restored else []
        # Departures come with the deletions, so read them first.
        for name in sorted(there, key=_left_first):
            if name.kind == "left":
                changes += self._put(name, there[name])
        for name in [name for name in self._known if name not in there]:
            if restored and name.kind != "left":
                # All later writes are newer.
                self._known[name] = self._known[name]._replace(revision=0)
                self._held[name] = now + self._hold_s
            elif name not in self._held:
                changes += self._delete(name, listing.revision)
        for name, kv in there.items():
            known = self._known.get(name)
            if restored or known is None or known.revision != kv.mod_revision:
                changes += self._put(name, kv)
        return changes + self.tick(now)

    def watched(self, answer: WatchAnswer) -> list[Change]:
        """An answer came to a watch that started at `next_revision`. If `must_list` is
        set afterwards, that watch is useless."""
        if not self.must_list:
            self.must_list = self._what_is_missing(answer)
        if self.must_list:
            return []
        changes: list[Change] = []
        for revision, events in groupby(answer.events, _revision_of):
            if revision >= self.revision:
                self.revision = revision
                changes += self._happened(list(events), revision)
        return changes

    def tick(self, now: float) -> list[Change]:
        """End records that were kept but have not been written again."""
        changes: list[Change] = []
        for name in [name for name, until in self._held.items() if until <= now]:
            changes += self._delete(name, self.revision)
        return changes

    # Output

    @property
    def next_revision(self) -> int:
        """Where a watch must start."""
        return self.revision + 1

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        return min(self._held.values(), default=None)

    def clients(self) -> Iterator[ClientRecord]:
        """All clients of the group."""
        for known in self._known.values():
            if isinstance(known.record, ClientRecord):
                yield known.record

    def client(self, session: int) -> ClientRecord | None:
        """One client."""
        known = self._known.get(client_name(session))
        record = None if known is None else known.record
        return record if isinstance(record, ClientRecord) else None

    def brokers(self) -> dict[str, BrokerRecord]:
        """All live brokers, by name."""
        return {
            name.name: known.record
            for name, known in self._known.items()
            if isinstance(known.record, BrokerRecord)
        }

    @property
    def about(self) -> About | None:
        """The agreed settings of the group, if known."""
        known = self._known.get(ABOUT)
        record = None if known is None else known.record
        return record if isinstance(record, About) else None

    def written_at(self, name: Name) -> int:
        """The revision of a key's last write, if known; 0: the key does not exist."""
        known = self._known.get(name)
        return 0 if known is None else known.revision

    # Private

    def _is_restored(self, listing: Listing) -> bool:
        if not self.revision:
            return False
        behind = listing.revision < self.revision
        return behind or listing.cluster_id != self._cluster_id

    def _what_is_missing(self, answer: WatchAnswer) -> str:
        """Why a list is needed after this answer; empty if it is not."""
        if answer.compact_revision:
            return f"the history after {self.revision} is compacted"
        if answer.header.cluster_id != self._cluster_id:
            return "it is another cluster"
        if answer.created and answer.header.revision < self.revision:
            # The member lags; or all members do, because a backup was restored. A list
            # decides.
            return f"a member is only at revision {answer.header.revision}"
        return ""

    def _happened(self, events: list[Event], revision: int) -> list[Change]:
        """All changes of one revision; the details of a departure come first."""
        changes: list[Change] = []
        of = {
            name: event for event in events if (name := self._keys.name(event.kv.key))
        }
        for name in sorted(of, key=_left_first):
            known = self._known.get(name)
            if known is not None and known.revision >= revision:
                continue  # repeated
            if of[name].type == "PUT":
                changes += self._put(name, of[name].kv)
            else:
                changes += self._delete(name, revision)
        return changes

    def _put(self, name: Name, kv: KeyValue) -> list[Change]:
        try:
            record = decode(name, kv.value)
        except ValueError as error:
            gone = self._delete(name, kv.mod_revision)
            return [*gone, Malformed(kv.key, str(error), kv.mod_revision)]
        self._held.pop(name, None)
        self._known[name] = _Known(record, kv.mod_revision)
        match record:
            case ClientRecord():
                return [PutClient(record, kv.mod_revision)]
            case BrokerRecord():
                return [BrokerCame(name.name, record, kv.mod_revision)]
            case About():
                return [AboutTold(record, kv.mod_revision)]
            case LeftRecord():
                return []

    def _delete(self, name: Name, revision: int) -> list[Change]:
        self._held.pop(name, None)
        known = self._known.pop(name, None)
        if known is None:
            return []
        match known.record:
            case ClientRecord() as record:
                left = self._left(record.client.session, known.revision)
                return [DeleteClient(record, left, revision)]
            case BrokerRecord():
                return [BrokerWent(name.name, revision)]
            case About():
                return [AboutTold(None, revision)]
            case LeftRecord():
                return []

    def _left(self, session: int, registered_at: int) -> LeftRecord | None:
        """How the client left that was last registered at this revision."""
        known = self._known.get(left_name(session))
        if known is None or known.revision <= registered_at:
            return None  # an earlier departure, before it came back
        return known.record if isinstance(known.record, LeftRecord) else None


def _left_first(name: Name) -> bool:
    return name.kind != "left"


def _revision_of(event: Event) -> int:
    return event.kv.mod_revision
