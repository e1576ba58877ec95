"""The machines of a running sweep: connects, compares and prepares them."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment import environment
from pubsub_perf.hosts.factory import HostKind
from pubsub_perf.lab import messages
from pubsub_perf.lab.connection import Connection, Lost, News
from pubsub_perf.lab.versions import code_digest, differences
from pubsub_perf.plan.cases import Case
from pubsub_perf.results import cell_fields

Say = Callable[[str], None]


class LabMachines:
    """Machines with a worker each. Leaving the ``with`` block ends all workers."""

    def __init__(self, commands: Mapping[str, Sequence[str]], say: Say) -> None:
        """``commands`` run a worker, by machine. ``say`` prints a message for the user."""
        self._commands = commands
        self._say = say
        self._connections: dict[str, Connection] = {}
        self._hellos: dict[str, messages.Hello] = {}
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.left_out: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections.values():
            connection.close()
        for connection in self._connections.values():
            connection.wait()

    @property
    def names(self) -> list[str]:
        """All machines, also those that are left out."""
        return list(self._commands)

    def identities(self) -> dict[str, str]:
        """The random ids of connected machines."""
        return {name: _identity(hello) for name, hello in self._hellos.items()}

    def introduced(self, name: str, hello: messages.Hello) -> str:
        """Note a connected machine; returns its random id.

        Raises:
            ConfigError: it runs other programs than this machine.
        """
        _check_code(name, hello)
        self._hellos[name] = hello
        return _identity(hello)

    def send(self, name: str, message: messages.ToWorker) -> None:
        """Send a message. If this fails, the machine is reported as lost."""
        self._connections[name].send(message)

    def connect(self, asked: str) -> HostKind:
        """Connect to all machines, and choose one kind of hosts for all of them. Machines that
        cannot be reached are left out, with a message.

        Raises:
            ConfigError: no machine can be reached, or one refuses, runs other programs, or
                cannot have such hosts.
        """
        for name in self._commands:
            self.reach(name)
        while len(self._hellos) + len(self.left_out) < len(self._commands):
            news = self.news.get()
            if isinstance(news.what, messages.Hello):
                self.introduced(news.machine, news.what)
            elif isinstance(news.what, Lost):
                self._not_reached(news.machine, news.what)
        if not self._hellos:
            raise ConfigError("no machine can be reached")
        self._tell_differences()
        return self._choose(asked)

    def prepare(self, kind: HostKind, cases: Sequence[Case]) -> None:
        """Make all machines check these cases, before the first cell.

        Raises:
            ConfigError: one cannot, or none can be reached any more.
        """
        self._check = messages.Check(
            list(dict.fromkeys(case.load for case in cases)),
            max(len(case.network.nodes) for case in cases),
        )
        self._choice = messages.Choose(kind)
        waiting = set(self._hellos)
        for name in waiting:
            self.set_up(name)
        notes: dict[str, list[str]] = {}
        while waiting:
            news = self.news.get()
            if isinstance(news.what, messages.Ready):
                for note in news.what.notes:
                    notes.setdefault(note, []).append(news.machine)
            elif isinstance(news.what, Lost):
                self._hellos.pop(news.machine, None)
                self._not_reached(news.machine, news.what)
            else:
                continue
            waiting.discard(news.machine)
        for note, names in notes.items():
            self._say(f"{', '.join(sorted(names))}: {note}")
        if not self._hellos:
            raise ConfigError("no machine can be reached")

    def reach(self, name: str, patience_s: float = 0.0) -> None:
        """Connect to a machine, and retry for ``patience_s``; the result is a message."""
        self._connections[name] = Connection(
            name, self._commands[name], self.news, patience_s=patience_s
        )

    def set_up(self, name: str) -> None:
        """Prepare a machine that has introduced itself."""
        self._connections[name].send(self._choice)
        self._connections[name].send(self._check)

    def _not_reached(self, name: str, lost: Lost) -> None:
        if lost.refused:
            raise ConfigError(f"{name}: {lost.why}")
        self.left_out[name] = lost.why
        self._say(f"{name} is left out: {lost.why}")

    def _choose(self, asked: str) -> HostKind:
        cannot = {
            n: h.mininet for n, h in self._hellos.items() if h.mininet is not None
        }
        if asked == "local":
            return "local"
        if asked not in ("mininet", "auto"):
            raise ConfigError(f"unknown hosts {asked!r}: choose mininet, local or auto")
        if not cannot:
            return "mininet"
        name, why = next(iter(cannot.items()))
        if asked == "mininet":
            raise ConfigError(f"{name}: Mininet cannot run there: {why}")
        self._say(
            f"{name}: Mininet cannot run there ({why}); using local hosts everywhere"
        )
        return "local"

    def _tell_differences(self) -> None:
        (first, hello), *others = self._hellos.items()
        for name, other in others:
            if found := differences(hello.versions, other.versions):
                self._say(f"{first} and {name} have different programs: {found}")


def _identity(hello: messages.Hello) -> str:
    return cell_fields.text(hello.machine, "id") or ""


def _check_code(name: str, hello: messages.Hello) -> None:
    """Raises:
    ConfigError: the machine has other programs than this one.
    """
    if hello.code == code_digest():
        return
    here = environment.describe()["versions"]
    ours = {
        key: value for key, value in hello.versions.items() if key.startswith("pubsub-")
    }
    found = differences({key: here.get(key, "none") for key in ours}, ours)
    raise ConfigError(
        f"{name} has other programs than this machine ("
        + (found or "of the same version, with other code")
        + "): install the same state"
    )
