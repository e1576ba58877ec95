"""A system to attack: one model, with or without keys, every role a process with limits
on its memory and its open files; and honest clients that measure their service.

Tests get one by the fixture ``hostile`` (tests/system/attacks/conftest.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import zmq

from pubsub_common.defaults import MAX_PAYLOAD_BYTES
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Model, Register
from pubsub_common.security.keys import ClientKeys, KeyPair
from pubsub_common.testing import wait_for
from support.attack_rows import Figures
from support.attack_tools import ADMITTED, Spy, Talker, Vault, Wire, register
from support.honest_client import KEEP
from support.paths import ROOT
from support.running_roles import WAIT_S

Keys = Literal["plain", "secure"]

MIB: Final = 2**20
# Address space of a role: threads and their arenas reserve most of an idle role's.
MEMORY_LIMIT: Final = 2048 * MIB
FILE_LIMIT: Final = 1024
# The most that one hostile client may cost a role (the budget), in MiB.
BUDGET_MIB: Final = 128.0

# Every client may do everything; a test that needs less uses its own policy.
POLICY: Final = "".join(
    f'[clients.{name}]\npublish = ["#"]\nsubscribe = ["#"]\nstatus = true\n'
    for name in ("alice", "bob", "carol", "mallory")
)


def rss_mib(pid: int) -> float:
    """Memory of a process now, in MiB; 0 when it has ended."""
    return _memory(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most since its start or `forget_peak`, in MiB."""
    return _memory(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Reset the peak to the current value."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_files(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def _memory(pid: int, name: str) -> float:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


class Process:
    """A program of the project with limits; its standard error in a file."""

    def __init__(
        self,
        folder: Path,
        name: str,
        argv: list[str],
        *,
        memory: int | None,
        files: int | None,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self._err = folder / f"{len(list(folder.glob('*.err')))}-{name}.err"
        limits = [f"ulimit -v {memory // 1024}"] if memory else []
        limits += [f"ulimit -n {files}"] if files else []
        script = " && ".join([*limits, 'exec "$@"'])
        with self._err.open("wb") as err:
            self.process = subprocess.Popen(
                ["sh", "-c", script, name, *argv],
                **{
                    "stdin": subprocess.PIPE,
                    "stdout": subprocess.PIPE,
                    "stderr": err,
                    "cwd": folder,
                    "env": {**os.environ, **(env or {})},
                    **options,
                },
            )
        self._before = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def err(self) -> str:
        """Its standard error, which may contain any bytes of clients."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def says(self, text: str) -> None:
        """Return when ``text`` is on standard error."""
        wait_for(lambda: text in self.err or not self.alive, f"{self.name}: {text!r}")
        assert text in self.err, self.err[-3000:]

    def remember_memory(self) -> None:
        """`grown_mib` counts from here."""
        self._before = rss_mib(self.pid)
        forget_peak(self.pid)

    def grown_mib(self) -> float:
        """The largest growth of its memory since `remember_memory`."""
        return peak_mib(self.pid) - self._before

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """End it normally, with one SIGTERM, and return its exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class HonestClients(Process):
    """Clients in one process, which measure their service (`support.honest_client`)."""

    def __init__(self, folder: Path, kind: str, settings: dict[str, Any]) -> None:
        super().__init__(
            folder,
            kind,
            [
                *(sys.executable, "-m", "support.honest_client"),
                *(kind, json.dumps(settings)),
            ],
            # Each subscriber reserves a range of addresses for large events.
            memory=MEMORY_LIMIT + len(settings["topics"]) * MAX_PAYLOAD_BYTES,
            files=FILE_LIMIT,
            env={"PYTHONPATH": str(ROOT / "tests")},
        )
        self.clients: list[dict[str, Any]] = self._line()["clients"]

    def figures(self, *, keep: bool = False) -> dict[str, Any]:
        """The measurements since the last reset."""
        assert self.process.stdin is not None
        self.process.stdin.write(KEEP.encode() if keep else b"\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        out = self.process.stdout
        assert out is not None
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            assert selector.select(WAIT_S), f"{self.name} says nothing: {self.err}"
        line = out.readline()
        assert line, f"{self.name} has ended: {self.err[-3000:]}"
        told: dict[str, Any] = json.loads(line)
        return told


_Attacker = TypeVar("_Attacker", Wire, Talker, Spy, Process, HonestClients)


class HostileSystem:
    """See the module. ``alice`` publishes, ``bob`` subscribes, ``carol`` measures, and
    ``mallory``, an enrolled client with all permissions, attacks."""

    def __init__(
        self,
        model: Model,
        keys: Keys,
        folder: Path,
        figures: Figures,
        stack: contextlib.ExitStack,
    ) -> None:
        self.model: Model = model
        self.centralized = model == "centralized"
        self.secure = keys == "secure"
        self.folder = folder
        self.figures = figures
        self._stack = stack
        self.vault: Vault | None = None
        if self.secure:
            self.vault = Vault(folder / "secure", POLICY)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.context.max_sockets = 8192
        stack.callback(self.context.term)
        self.port = 0

    # The attacked

    def broker(
        self,
        *words: object,
        memory: int | None = MEMORY_LIMIT,
        files: int | None = FILE_LIMIT,
        **options: Any,
    ) -> Process:
        """A running broker; its port is ``port`` from here on."""
        argv = ["--port", str(self.port), *map(str, words)]
        argv += ["--centralized"] if self.centralized else []
        argv += ["--secure", str(self.vault.folder)] if self.vault else []
        broker = self.program(
            "pubsub-broker", *argv, memory=memory, files=files, **options
        )
        if options.get("stderr") is None:
            broker.says("broker on 127.0.0.1:")
            found = re.search(r"broker on 127\.0\.0\.1:(\d+)", broker.err)
            assert found
            self.port = int(found[1])
        return broker

    def program(
        self,
        name: str,
        *words: object,
        memory: int | None = MEMORY_LIMIT,
        files: int | None = FILE_LIMIT,
        **options: Any,
    ) -> Process:
        """A console script with these arguments and limits."""
        script = str(Path(sys.executable).with_name(name))
        argv = [script, *map(str, words)]
        return self._kept(
            Process(self.folder, name, argv, memory=memory, files=files, **options)
        )

    def check_budget(self, role: Process) -> None:
        """The growth of the attacked role, the figure ``memory``, is within the budget."""
        self.figures.mib("memory", role.grown_mib())
        assert role.grown_mib() < BUDGET_MIB

    def key_words(self, name: str) -> tuple[str, ...]:
        """The options of a console script for this client's keys."""
        return ("--keys", str(self.vault.path(name))) if self.vault else ()

    # The honest

    def publishers(
        self,
        *topics: str,
        rate: float = 100.0,
        payload: int = 64,
        name: str = "alice",
        **options: Any,
    ) -> HonestClients:
        """Honest publishers, one for each topic, in one process. ``rate`` is the total
        rate, ``options`` are those of `Publisher`. Figures: ``published``,
        ``longest_call_s``."""
        return self._honest(
            "publisher",
            name,
            {"topics": topics, "rate": rate, "payload": payload, **options},
        )

    def subscribers(
        self, *topics: str, name: str = "bob", **options: Any
    ) -> HonestClients:
        """Honest subscribers, one for each topic, in one process. Figures: ``received``,
        ``lost``, ``malformed``, ``p50_s``, ``p99_s``, ``max_s``."""
        return self._honest(
            "subscriber",
            name,
            {"topics": topics, "centralized": self.centralized, **options},
        )

    def heart(self, name: str = "carol") -> HonestClients:
        """A registered client that sends heartbeats without a pause. Figures:
        ``longest_wait_s`` since the last time, ``answered``, ``registered_again``."""
        return self._honest("heart", name, {"topics": ["heart"]})

    def _honest(self, kind: str, name: str, settings: dict[str, Any]) -> HonestClients:
        settings["broker_port"] = self.port
        if self.vault is not None:
            settings["keys"] = str(self.vault.path(name))
        return self._kept(HonestClients(self.folder, kind, settings))

    # The hostile

    def keys_of(self, name: str | None) -> ClientKeys | None:
        return self.vault.keys(name) if self.vault and name else None

    def wire(self, kind: int, server: str | None, name: str | None = "mallory") -> Wire:
        """A ZeroMQ socket of this kind, with the client's keys for a port that answers
        with the public key ``server``. Its options are set before it is connected."""
        return self._kept(Wire(self.context, kind, *self._pair(server, name)))

    def talker(self, name: str | None = "mallory", **options: int) -> Talker:
        """A hand-written client at the control port, with these options of ZeroMQ."""
        server = self.vault.broker if self.vault else None
        pair = self._pair(server, name)
        talker = self._kept(Talker(self.context, zmq.DEALER, *pair))
        for option, value in options.items():
            setattr(talker.socket, option, value)
        talker.connect(self.port)
        return talker

    def subscriber_at(
        self,
        port: int,
        server: str | None,
        name: str | None = "mallory",
        *,
        admitted: bool = True,
        **options: int,
    ) -> Wire:
        """An XSUB socket, with these ZeroMQ options, connected to a data port that
        admits it: hand-written subscriptions are sent as messages."""
        wire = self.wire(zmq.XSUB, server, name)
        for option, value in options.items():
            setattr(wire.socket, option, value)
        wire.connect(port)
        if admitted:
            wire.wait_for(ADMITTED)
        return wire

    def tcp(self, port: int, receive_buffer: int | None = None) -> socket.socket:
        """A bare connection."""
        connection = socket.socket()
        self._stack.callback(connection.close)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(WAIT_S)
        connection.connect(("127.0.0.1", port))
        return connection

    def data_port(self, publishers: HonestClients) -> tuple[int, str | None]:
        """The address for events of ``publishers[0]``, and the public key that answers
        there: a publisher's port, or the broker's event port."""
        if not self.centralized:
            return self.publisher_port(publishers)
        topic = publishers.clients[0]["topic"]
        reply = self.talker("bob").registered(self.registration("subscriber", topic))
        port = reply.ports[topic]
        assert isinstance(port, int)
        return port, self.vault.broker if self.vault else None

    def publisher_port(self, publishers: HonestClients) -> tuple[int, str | None]:
        """The port of the first of them, and the public key that answers there."""
        keys = self.keys_of("alice")
        return publishers.clients[0]["port"], keys.pair.public if keys else None

    def registration(
        self, role: messages.Role, *topics: str, **fields: Any
    ) -> Register:
        """A hand-written registration. Nothing listens at a publisher's port."""
        address = "127.0.0.1" if role == "subscriber" else "127.0.0.1:9"
        return register(role, topics, fields.pop("address", address), **fields)

    def _pair(
        self, server: str | None, name: str | None
    ) -> tuple[KeyPair | None, str | None]:
        keys = self.keys_of(name)
        return (None, None) if keys is None else (keys.pair, server)

    def _kept(self, each: _Attacker) -> _Attacker:
        self._stack.callback(each.kill if isinstance(each, Process) else each.close)
        return each


def check_served(heart: HonestClients) -> float:
    """The broker still answers an honest client, and still knows it. Returns the
    longest wait for a reply since the last call, in seconds."""
    before = heart.figures()
    longest: float = before["longest_wait_s"]

    def answered_again() -> bool:
        nonlocal longest
        now = heart.figures()
        longest = max(longest, now["longest_wait_s"])
        assert now["registered_again"] == 0, "the broker has forgotten an honest client"
        return bool(now["answered"] > before["answered"])

    wait_for(answered_again, "an answer to an honest client", WAIT_S)
    return longest
