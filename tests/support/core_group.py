"""Broker cores on one engine without a server, and short ways to talk to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    Moved,
    ProposeDelete,
    ProposePut,
    Send,
)
from pubsub_broker.registry.changes import BrokerRecord, broker_name
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.log import GroupLog
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.security.grants import Grants
from pubsub_common.defaults import MAX_CLIENTS
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Heartbeat,
    Model,
    Register,
    Registered,
    Reply,
    Request,
    Role,
)
from pubsub_common.protocol.versions import VERSIONS
from support.etcd_group import EtcdGroup

LEASE_S = 6.0
_M = TypeVar("_M", bound=Reply)


class CoreOfGroup:
    """One broker: its core, its part of the engine, and its sent messages."""

    def __init__(self, group: CoreGroup, epoch: int) -> None:
        self.group = group
        self.epoch = epoch
        self.name = broker_name(epoch)
        self.address = f"10.0.1.{epoch}:5555"
        self.peers: dict[int, bytes] = {}  # of the clients that were `registered`
        self.lost: set[bytes] = set()  # connections that have ended
        self.core = BrokerCore(
            group.model,
            MemoryRegistry(),
            epoch=epoch,
            lease_s=LEASE_S,
            new_session=lambda: next(group.sessions),
            ports=lambda topics: dict.fromkeys(topics, 7000 + epoch),
            is_lost=lambda peer: peer in self.lost,
            now=group.now,
            max_clients=group.max_clients,
            grants=group.grants,
            group="lab",
        )
        centralized = group.model == "centralized"
        record = BrokerRecord(
            address=self.address,
            version="0.1.0",
            forwarder=f"forwarder {epoch}",
            forwarding=(7000 + epoch,) if centralized else (),
        )
        self.core.describe(record)
        self.member = group.log.join(self.name, record, group.now)
        self.alive = True
        self.sent: list[tuple[bytes, Reply]] = []
        self.departed: list[int] = []
        self.moved: list[int] = []
        self.attached: list[str] = []
        self.turn()

    def ask(self, peer: bytes, request: Request, key: str | None = None) -> None:
        """Send a client's request to the core."""
        self.perform(self.core.handle(peer, request, self.group.now, key))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform the core's effects."""
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self.sent.append((peer, message))
                case ProposePut(client):
                    self.member.put_client(client)
                case ProposeDelete(session, left):
                    self.member.delete_client(session, left)
                case Departed(client):
                    self.departed.append(client.session)
                case Moved(client):
                    self.moved.append(client.session)
                case Attach(address):
                    self.attached.append(address)
                case Detach(address):
                    self.attached.remove(address)

    def turn(self) -> None:
        """One turn of the broker's loop, and of its link."""
        now = self.group.now
        self.perform(self.core.set_cut_off(self.member.cut_off(now), now))
        self.member.turn(now)
        for change in self.member.take_changes():
            self.perform(self.core.applied(change, now))
        self.perform(self.core.set_cut_off(self.member.cut_off(now), now))
        self.perform(self.core.tick(now))

    def take(self, peer: bytes, kind: type[_M]) -> list[_M]:
        """The messages of this kind to a peer; sent messages are forgotten."""
        found: list[_M] = []
        for to, message in self.sent:
            if to == peer and isinstance(message, kind):
                found.append(message)
        self.sent = [
            (to, m) for to, m in self.sent if not (to == peer and isinstance(m, kind))
        ]
        return found

    def clients(self) -> dict[int, tuple[str, Client]]:
        """All clients of the group that it knows, with their brokers."""
        known = self.core._clients
        return {
            each.session: (known.broker_of(each.session), each)
            for each in known.all.clients()
        }

    # Requests

    def register(
        self,
        peer: bytes,
        role: Role,
        topics: Sequence[str],
        key: str | None = None,
        **changes: Any,
    ) -> None:
        """A client sends a registration."""
        fields: dict[str, Any] = {
            "id": next(self.group.ids),
            "versions": VERSIONS,
            "role": role,
            "topics": list(topics),
            "address": "10.0.0.2" if role == "subscriber" else "10.0.0.1:5556",
            "clock": "realtime",
        }
        self.ask(peer, Register(**{**fields, **changes}), key)

    def registered(
        self, peer: bytes, role: Role, topics: Sequence[str], **changes: Any
    ) -> Registered:
        """A client is registered; the reply to it."""
        self.register(peer, role, topics, **changes)
        self.group.settle()
        [reply] = self.take(peer, Registered)
        self.peers[reply.session] = peer
        return reply

    def heartbeat(self, peer: bytes, session: int) -> Alive:
        """A client's heartbeat, and the answer."""
        self.ask(peer, Heartbeat(id=next(self.group.ids), session=session))
        [reply] = self.take(peer, Alive)
        return reply

    def disconnect(self, peer: bytes, session: int, **next_sequences: int) -> None:
        """A client leaves."""
        request = Disconnect(
            id=next(self.group.ids), session=session, next_sequences=next_sequences
        )
        self.ask(peer, request)


class CoreGroup:
    """Brokers of one model on one log, with one clock."""

    def __init__(
        self,
        model: Model,
        brokers: int = 2,
        *,
        max_clients: int = MAX_CLIENTS,
        engine: GroupLog | EtcdGroup | None = None,
        grants: Grants | None = None,
    ) -> None:
        self.model = model
        self.max_clients = max_clients
        self.grants = grants
        self.now = 0.0
        self.log = engine or GroupLog()
        self.sessions = itertools.count(1)
        self.ids = itertools.count(1)
        self.epochs = itertools.count(1)
        self.brokers: list[CoreOfGroup] = []
        for _ in range(brokers):
            self.add()
        self.settle()

    def add(self) -> CoreOfGroup:
        """One more broker."""
        self.brokers.append(CoreOfGroup(self, next(self.epochs)))
        return self.brokers[-1]

    def settle(self) -> None:
        """Do all pending work."""
        for _ in range(3):
            for broker in self.brokers:
                if broker.alive:
                    broker.turn()

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, in steps that are short compared with a lease."""
        self.settle()
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + step, until)
            self.settle()

    def agree(self) -> dict[int, tuple[str, Client]]:
        """The common state of all brokers; they must agree."""
        known = [broker.clients() for broker in self.brokers if broker.alive]
        assert all(each == known[0] for each in known)
        return known[0]
