"""A system with several brokers in one group, on its own etcd servers.

Each broker reaches etcd through its own links, which can be cut. Its port stays the
same for all its processes. Without etcd servers the brokers know nothing of each other.
"""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from chaos_kinds import OPERATOR
from chaos_logs import now_ns
from chaos_parts import Publisher, Subscriber, UsageCheck
from chaos_processes import WAIT_S, Failed, Process, wait_for, worker
from chaos_system import System
from support.etcd_servers import EtcdCluster
from support.ports import free_port
from support.tcp_relay import TcpRelay

from pubsub_common.client.status_client import ask
from pubsub_common.errors import BrokerUnreachable
from pubsub_common.protocol.messages import Model, Status
from pubsub_common.security.keys import load_client_keys

GROUP: Final = "lab"
# The duration of etcd's lease for a broker; see `docs/cluster.md`.
ALIVE_S: Final = 3.0
_ASK_S: Final = 5.0


class GroupBroker:
    """A place for a broker: its address, its links to etcd, and its process."""

    def __init__(
        self, name: str, host: str, address: str, links: Sequence[TcpRelay]
    ) -> None:
        self.name = name
        self.host = host
        self.address = address
        self.port = free_port()
        self.links = tuple(links)
        # A client's keys, for status requests to a secure broker.
        self.keys: Path | None = None
        self.process: Process | None = None
        self._hurt = False

    def __str__(self) -> str:
        """The address for clients."""
        return f"{self.address}:{self.port}"

    @property
    def running(self) -> Process:
        """Its process."""
        assert self.process is not None
        return self.process

    @property
    def alive(self) -> bool:
        """Whether it has a process, suspended or not."""
        return self.process is not None and self.process.alive

    @property
    def well(self) -> bool:
        """Whether it runs, neither suspended nor cut off."""
        return self.alive and not self._hurt

    def cut_off(self) -> None:
        """Drop all data between it and etcd, without closing connections."""
        self._hurt = True
        for link in self.links:
            link.cut()

    def heal(self) -> None:
        """Pass data again, also the data sent meanwhile."""
        self._hurt = False
        for link in self.links:
            link.heal()

    def freeze(self) -> None:
        """Suspend it until `thaw`; its connections stay open."""
        self._hurt = True
        self.running.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        self._hurt = False
        self.running.send(signal.SIGCONT)

    def status(self) -> Status:
        """Its status with all clients.

        Raises:
            BrokerUnreachable: it does not answer.
        """
        keys = None if self.keys is None else load_client_keys(self.keys)
        return ask(self.address, self.port, _ASK_S, keys)

    def sessions(self) -> dict[int, str | None] | None:
        """The clients that it knows, with the broker of each; None if it does not
        answer."""
        try:
            return {each.session: each.broker for each in self.status().clients}
        except BrokerUnreachable:
            return None


class GroupSystem(System):
    """Like `System`, with a group of brokers instead of one."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        rng: random.Random,
        *,
        etcd: EtcdCluster | None,
        hosts: Sequence[str] = ("broker",) * 3,
        **options: Any,
    ) -> None:
        """``etcd`` runs already; there is a broker on each of ``hosts``; ``options``
        are those of `System`."""
        super().__init__(folder, model, rng, **options)
        self.etcd = etcd
        self._forgiven_ns = 0
        self._relays = contextlib.ExitStack()
        self.group = [
            self._place(f"b{number}", host) for number, host in enumerate(hosts, 1)
        ]

    def _place(self, name: str, host: str) -> GroupBroker:
        servers = self.etcd.servers if self.etcd else ()
        near = self.place.our_address()
        links = [
            self._relays.enter_context(
                contextlib.closing(TcpRelay(server.endpoint, near))
            )
            for server in servers
        ]
        broker = GroupBroker(name, host, self.place.address(host), links)
        if self.kind.keys:
            broker.keys = self.folder / "keys" / f"{OPERATOR}.keys"
        return broker

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._relays.close()

    # The brokers

    def brokers(self) -> list[Process]:
        return [each.process for each in self.group if each.process is not None]

    def start_broker(self) -> None:
        """Run all brokers."""
        for each in self.group:
            self.start_at(each, wait=False)
        for each in self.group:
            self.wait_serves(each)

    def start_at(self, broker: GroupBroker, *, wait: bool = True) -> None:
        """Run a broker at this place, also after an earlier one."""
        argv = [
            *worker("chaos_broker"),
            *("--bind", broker.address, "--port", broker.port),
            *self.group_options(broker),
            *self.broker_options(),
        ]
        broker.process = self.start(broker.name, argv, broker.host)
        if wait:
            self.wait_serves(broker)

    def group_options(self, broker: GroupBroker) -> list[object]:
        """The options with which a broker finds its group; none without etcd."""
        if not broker.links:
            return []
        near = self.place.our_address()
        members = ",".join(f"{near}:{link.port}" for link in broker.links)
        return ["--registry", f"etcd://{members}", "--group", GROUP]

    def wait_serves(self, broker: GroupBroker) -> None:
        """Wait for its first log line."""
        process = broker.running
        wait_for(
            lambda: " broker on " in process.err or not process.alive,
            f"the first words of {broker.name}",
        )
        process.check_runs()

    def note_usage(self) -> None:
        """In the end one broker may have all clients, each with a connection for
        requests and some for events."""
        super().note_usage()
        brokers, rest = self.brokers(), [part.process for part in self.parts()]
        self.usage = UsageCheck(
            [*brokers, *rest], more_fds=3 + len(rest) * (1 + self.kind.forwarders)
        )

    def living_brokers(self) -> list[GroupBroker]:
        """The running brokers."""
        return [each for each in self.group if each.alive]

    def others(self, broker: GroupBroker) -> list[GroupBroker]:
        """All brokers but this one."""
        return [each for each in self.group if each is not broker]

    # The clients

    def known(self, brokers: Iterable[GroupBroker]) -> list[str]:
        """The addresses of brokers that clients get."""
        return [str(each) for each in brokers]

    def start_publisher(
        self, name: str, host: str = "broker", **options: Any
    ) -> Publisher:
        """Like `System`; ``broker`` is a list of addresses, by default all."""
        given = {"broker": self.known(self.group), "broker_port": None} | options
        return super().start_publisher(name, host, **given)

    def start_subscriber(
        self, name: str, host: str = "broker", **options: Any
    ) -> Subscriber:
        """Like `start_publisher`."""
        given = {"broker": self.known(self.group), "broker_port": None} | options
        return super().start_subscriber(name, host, **given)

    def begin_spread(self, publishers: int, subscribers: int, **options: Any) -> None:
        """Start everything, with clients at all brokers in turn: each gets the address
        of one, and learns the others. ``options`` are those of the publishers' worker.
        """
        self.start_broker()
        for index in range(subscribers):
            at = self.known([self.group[index % len(self.group)]])
            self.start_subscriber(f"sub{index + 1}", broker=at)
        for index in range(publishers):
            at = self.known([self.group[index % len(self.group)]])
            self.start_publisher(f"pub{index + 1}", broker=at, **options)
        self.note_usage()

    def sessions(self) -> set[int]:
        """The sessions of all running clients that have started."""
        living = (part for part in self.parts() if part.process.alive)
        return {part.log.session for part in living if part.log.session >= 0}

    def clients_of(self, broker: GroupBroker, seen_by: GroupBroker) -> set[int]:
        """The sessions of its clients, in the view of another broker."""
        known = seen_by.sessions() or {}
        return {session for session, where in known.items() if where == str(broker)}

    def wait_agree(
        self,
        brokers: Iterable[GroupBroker] | None = None,
        within_s: float = WAIT_S,
    ) -> None:
        """Wait until these brokers, by default all running ones, know exactly the
        running clients, each at the same broker.

        Raises:
            Failed: they do not agree in time; the text has the difference.
        """
        asked = list(self.living_brokers() if brokers is None else brokers)
        disagreement: list[str] = []

        def agree() -> bool:
            self.refresh()
            disagreement[:] = self._disagreement(asked)
            return not disagreement

        try:
            wait_for(agree, "all brokers agree", within_s)
        except Failed as error:
            raise Failed(f"{error}; {'; '.join(disagreement)}") from None

    def _disagreement(self, brokers: Sequence[GroupBroker]) -> list[str]:
        expected = self.sessions()
        found = [(each.name, each.sessions()) for each in brokers]
        words = []
        for name, sessions in found:
            if sessions is None:
                words.append(f"{name} does not answer")
            elif sessions.keys() != expected:
                more, less = sessions.keys() - expected, expected - sessions.keys()
                words.append(f"{name} has {more} too many, {less} too few")
            elif sessions != found[0][1]:
                words.append(f"{name} has clients elsewhere than {found[0][0]}")
        return words

    def left_in_error(self) -> list[str]:
        """Subscribers that got a departure of a running publisher, in words."""
        living = {pub.log.session for pub in self.living_publishers()}
        return [
            f"{sub.process.name} got a departure of {session:x}"
            for sub in self.subscribers
            for at_ns, session in sub.log.told_gone
            if session in living and at_ns >= self._forgiven_ns
        ]

    def forgive_departures(self) -> None:
        """The departures until now have a reason."""
        self._forgiven_ns = now_ns()

    def gone_after_s(self, publisher: Publisher, since_ns: int) -> list[float]:
        """For each running subscriber, how long after a time it got the departure of
        this publisher; subscribers without it are left out."""
        return [
            (at_ns - since_ns) / 1e9
            for sub in self.living_subscribers()
            for at_ns, session in sub.log.told_gone
            if session == publisher.log.session
        ]

    def wait_left(self, broker: GroupBroker, within_s: float) -> None:
        """Wait until the other brokers have all running clients, and none at this
        broker.

        Raises:
            Failed: it took longer; the text has the number of clients.
        """
        expected = self.sessions()
        staying: list[str] = []

        def left() -> bool:
            staying[:] = [
                f"{other.name} has {len(expected - elsewhere)} not elsewhere"
                for other in self.others(broker)
                if other.alive
                and (elsewhere := self._elsewhere(broker, other)) != expected
            ]
            return not staying

        try:
            wait_for(left, f"all have left {broker.name}", within_s)
        except Failed as error:
            raise Failed(f"{error}; {'; '.join(staying)}") from None

    def _elsewhere(self, broker: GroupBroker, seen_by: GroupBroker) -> set[int]:
        known = seen_by.sessions() or {}
        return {session for session, where in known.items() if where != str(broker)}
