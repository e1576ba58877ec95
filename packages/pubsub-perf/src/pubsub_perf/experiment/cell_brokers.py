"""The brokers of a cell: one broker, or a group with etcd on a separate host."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from pubsub_common import defaults
from pubsub_perf.experiment import role_command_lines
from pubsub_perf.experiment.broker_check import (
    Clients,
    broker_status,
    check_clients,
    check_place,
    is_listening,
)
from pubsub_perf.experiment.cpu_monitor import CpuMonitor
from pubsub_perf.experiment.role_keys import RoleKeys
from pubsub_perf.experiment.role_processes import Processes, Role
from pubsub_perf.hosts import etcd_program
from pubsub_perf.hosts.etcd_program import EtcdMember
from pubsub_perf.hosts.interface import HostError, Hosts, Traffic
from pubsub_perf.plan.cases import Case

ETCD: Final = "etcd"
_START_S: Final = 60.0
_POLL_S: Final = 0.05
# Each broker learns the clients of the others from etcd.
_AGREE_S: Final = 10.0


class CellBrokers:
    """To be entered before any role starts: etcd's data are in a folder until the end."""

    def __init__(self, case: Case, hosts: Hosts, keys: RoleKeys | None) -> None:
        self._case = case
        self._hosts = hosts
        self._keys = keys
        self._stack = ExitStack()
        self._places = case.placement.brokers
        self._addresses = [hosts.address(index) for index in self._places]
        self._roles: list[Role] = []
        self._traffic: list[Traffic | None] = []
        self._member: EtcdMember | None = None

    def __enter__(self) -> Self:
        etcd_at = self._case.placement.etcd
        if etcd_at is not None:
            # Not in the folder of results: etcd's data are useless after the cell.
            folder = TemporaryDirectory(prefix="pubsub-perf-etcd-")
            data = Path(self._stack.enter_context(folder)).resolve()
            address = self._hosts.address(etcd_at)
            self._member = EtcdMember(ETCD, address, data / ETCD)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def for_clients(self) -> str:
        """The brokers' addresses for clients, comma-separated."""
        return ",".join(self._addresses)

    def describe(self) -> dict[str, Any]:
        """The places of the brokers, for ``cell.json``."""
        found: dict[str, Any] = {"broker": self._addresses[0]}
        if self._member is not None:
            found |= {"brokers": self._addresses, ETCD: self._member.address}
        return found

    def command_lines(self) -> dict[str, list[str]]:
        """By the names of the roles."""
        lines = {}
        registry = None
        if self._member is not None:
            lines[ETCD] = etcd_program.command(self._member)
            registry = etcd_program.registry_url([self._member])
        for name, address in zip(self._names(), self._addresses, strict=True):
            lines[name] = role_command_lines.broker(
                self._case, address, self._keys, registry
            )
        return lines

    def start(self, processes: Processes) -> None:
        """Start etcd, and then the brokers. The method returns when all brokers listen;
        otherwise all clients would connect to the first one.

        Raises:
            HostError: one of them does not start.
        """
        lines = self.command_lines()
        if self._member is not None:
            self._start_etcd(processes, lines[ETCD])
        for name, place in zip(self._names(), self._places, strict=True):
            self._roles.append(processes.start(name, place, lines[name]))
        if self._member is not None:
            for role, address in zip(self._roles, self._addresses, strict=True):
                _wait_until_listening(processes, role, address, defaults.CONTROL_PORT)

    def check(self, expected: Clients) -> None:
        """Check that each broker belongs to this cell, and that all brokers together have
        the ``expected`` clients.

        Raises:
            HostError: a broker belongs to another process, or has other clients.
        """
        words = [] if self._keys is None else self._keys.broker_words()
        deadline = time.monotonic() + _AGREE_S
        for role, address in zip(self._roles, self._addresses, strict=True):
            check_place(role.process.pid, address)
            while True:
                status = broker_status(self._hosts, address, words)
                try:
                    check_clients(status, address, expected)
                    break
                except HostError:
                    if self._member is None or time.monotonic() > deadline:
                        raise
                time.sleep(_POLL_S)
        self._clients = Counter(client.get("broker") for client in status["clients"])

    def begin(self) -> None:
        """Note the begin of the measured span."""
        self._traffic = [self._hosts.traffic(place) for place in self._places]

    def end(self, monitor: CpuMonitor, record: dict[str, Any]) -> None:
        """Note the end of the measured span, and put the brokers' work into ``record``."""
        traffic = []
        for place, before in zip(self._places, self._traffic, strict=True):
            after = self._hosts.traffic(place)
            known = before is not None and after is not None
            traffic.append(after.since(before) if known else {})  # type: ignore[union-attr,arg-type]
        record["broker"] = {
            name: sum(each[name] for each in traffic) for name in traffic[0]
        }
        if self._member is None:
            return
        record["group"] = {
            "brokers": [
                {
                    "address": address,
                    "clients": self._clients_at(address),
                    "cpu_s": monitor.cpu_s(name),
                    **its,
                }
                for name, address, its in zip(
                    self._names(), self._addresses, traffic, strict=True
                )
            ],
            ETCD: {"cpu_s": monitor.cpu_s(ETCD)},
        }

    def end_processes(self, processes: Processes) -> None:
        """End the brokers in order; etcd ends with the cell, after them."""
        processes.end(self._roles)

    def _names(self) -> list[str]:
        if len(self._places) == 1:
            return ["broker"]
        return [f"broker-{number}" for number in range(len(self._places))]

    def _clients_at(self, address: str) -> int:
        return sum(
            count
            for place, count in self._clients.items()
            if place is not None and place.rpartition(":")[0] == address
        )

    def _start_etcd(self, processes: Processes, line: list[str]) -> None:
        assert self._member is not None
        assert self._case.placement.etcd is not None
        etcd = processes.start(ETCD, self._case.placement.etcd, line)
        _wait_until_listening(
            processes, etcd, self._member.address, self._member.client_port
        )


def _wait_until_listening(
    processes: Processes, role: Role, address: str, port: int
) -> None:
    deadline = time.monotonic() + _START_S
    while not is_listening(role.process.pid, address, port):
        processes.check()
        if time.monotonic() > deadline:
            raise HostError(f"{role.name} does not start: {role.last_words()}")
        time.sleep(_POLL_S)
