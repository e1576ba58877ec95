"""Servers of etcd for tests, on loopback; Debian's package etcd-server has the program."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.requests import encode
from pubsub_broker.registry_options import Endpoint
from pubsub_common.testing import wait_for
from support.needed_programs import needs_programs
from support.ports import free_port

HOST: Final = "127.0.0.1"
_END_S: Final = 10.0
# It ends with the process of the tests, in any case.
_DYING_TOO: Final = (
    ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
)


def needs_etcd() -> None:
    """Skip the test without etcd, with a reason; fail under CI."""
    needs_programs(["etcd"], installed_by="apt-get install etcd-server")


class EtcdServer:
    """One member. Its files are in ``folder``; it is started, killed and started again."""

    def __init__(self, name: str, folder: Path, options: Sequence[str] = ()) -> None:
        self.endpoint = Endpoint(HOST, free_port())
        self.peer_url = f"http://{HOST}:{free_port()}"
        self.name = name
        self.folder = folder
        self.cluster = f"{name}={self.peer_url}"
        self.options = tuple(options)
        self.scheme = "https" if "--cert-file" in options else "http"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its first answer may take a while."""
        url = f"{self.scheme}://{self.endpoint}"
        words = ["--name", self.name, "--data-dir", str(self.folder / self.name)]
        words += ["--listen-client-urls", url, "--advertise-client-urls", url]
        words += ["--listen-peer-urls", self.peer_url]
        words += ["--initial-advertise-peer-urls", self.peer_url]
        words += ["--initial-cluster", self.cluster, "--log-level", "warn"]
        words += ["--logger", "zap", "--bcrypt-cost", "4", *self.options]
        log = self.folder / f"{self.name}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_DYING_TOO, "etcd", *words], stdout=output, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """Like a power failure of the machine."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_END_S)
        self._process = None

    def freeze(self) -> None:
        """Suspend it until `thaw`; its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.kill()

    def answers(self) -> bool:
        """Whether it runs and knows a leader; with TLS, whether it listens."""
        try:
            if self.scheme == "https":
                socket.create_connection(self.endpoint, 5).close()
                return True
            return b'"leader"' in self.post("/v3/maintenance/status", b"{}")
        except (OSError, http.client.HTTPException):
            return False

    def leads(self) -> bool:
        """Whether it is the leader."""
        text = self.post("/v3/maintenance/status", b"{}").decode()
        own = text.partition('"member_id":"')[2].partition('"')[0]
        return f'"leader":"{own}"' in text

    def post(self, path: str, body: bytes) -> bytes:
        """This member's own answer, without TLS."""
        connection = http.client.HTTPConnection(*self.endpoint, timeout=5)
        with contextlib.closing(connection):
            connection.request("POST", path, body)
            return connection.getresponse().read()


class EtcdCluster:
    """Servers that are one cluster."""

    def __init__(self, servers: Sequence[EtcdServer]) -> None:
        self.servers = tuple(servers)
        self.endpoints = tuple(server.endpoint for server in servers)

    def leader(self) -> EtcdServer:
        """The leader."""
        return next(server for server in self.servers if server.leads())

    def start(self) -> None:
        """Start all, and wait until they answer."""
        for server in self.servers:
            server.start()
        for server in self.servers:
            wait_for(server.answers, "etcd answers")


@contextlib.contextmanager
def etcd_cluster(
    folder: Path, count: int = 1, options: Sequence[str] = ()
) -> Iterator[EtcdCluster]:
    """A cluster that runs; ended with the block."""
    needs_etcd()
    servers = [EtcdServer(f"n{number}", folder, options) for number in range(count)]
    together = ",".join(server.cluster for server in servers)
    for server in servers:
        server.cluster = together
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
        cluster = EtcdCluster(servers)
        cluster.start()
        yield cluster


@contextlib.contextmanager
def etcd_client(endpoints: Sequence[Endpoint], **options: Any) -> Iterator[EtcdClient]:
    """A client of these members; closed with the block. ``options`` are those of
    `Members`."""
    with contextlib.closing(
        EtcdClient(Members(Endpoints(endpoints), **options))
    ) as client:
        yield client


def make_users(members: Members, passwords: dict[str, str], prefix: bytes) -> None:
    """Make etcd require users: root, and others that may use only the keys of
    ``prefix``."""

    def ask(path: str, **words: object) -> None:
        members.post(f"/v3/auth/{path}", encode(words))

    end = prefix[:-1] + bytes((prefix[-1] + 1,))
    ask("role/add", name="group")
    permission = {"permType": "READWRITE", "key": prefix, "range_end": end}
    ask("role/grant", name="group", perm=permission)
    for user, password in {"root": "root", **passwords}.items():
        ask("user/add", name=user, password=password)
        role = "root" if user == "root" else "group"
        ask("user/grant", user=user, role=role)
    ask("enable")
