"""Hosts that are Mininet hosts: real namespaces, links and switches.

To be used inside the namespaces of `pubsub_perf.hosts.namespaces`.
"""

from __future__ import annotations

import importlib.metadata
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from pubsub_perf.hosts import kernel_features, mininet_compat
from pubsub_perf.hosts.interface import HostError, Traffic, script, standard_streams
from pubsub_perf.hosts.link_checks import (
    bucket_bytes,
    check_delay,
    parse_loss_percent,
    parse_pings,
    parse_rate_mbit,
)
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Load
from pubsub_perf.plan.topologies import Network

_PINGS_AT_ONCE: Final = 16
_PING_TIMEOUT_S: Final = 120


class MininetHosts:
    """The hosts of a Mininet network of Linux bridges.

    Of the load are the links: its bandwidth limits each shaped link (htb); its delay, jitter
    and loss are those of each link one way (netem).
    """

    def __init__(self, network: Network, load: Load) -> None:
        self._network = network
        self._load = load
        self._bandwidth_mbit = load.bandwidth_mbit
        self._net: Any = None
        self._nodes: list[Any] = []
        self._netfilter: bool | None = None

    def __enter__(self) -> Self:
        _raise_open_files()
        mininet_compat.prepare()
        from mininet.link import Link, TCLink
        from mininet.log import setLogLevel
        from mininet.net import Mininet
        from mininet.nodelib import LinuxBridge
        from mininet.topo import Topo

        setLogLevel("critical")
        load = self._load
        if load.needs_netem and (reason := kernel_features.netem_unavailable()):
            asked = kernel_features.asked_of_netem(load)
            raise HostError(f"{asked} cannot be set: {reason}")
        topo = Topo()
        for host in self._network.nodes:
            topo.addHost(host)
        for switch in self._network.switches:
            topo.addSwitch(switch)
        shaping = self._bandwidth_mbit is not None or load.needs_netem
        for link in self._network.links:
            topo.addLink(
                *link.ends, **self.link_options(shaped=link.shaped) if shaping else {}
            )
        self._net = Mininet(
            topo=topo,
            switch=LinuxBridge,
            controller=None,
            link=TCLink if shaping else Link,
            autoSetMacs=True,
        )
        self._net.start()
        self._netfilter = kernel_features.keep_frames_from_netfilter()
        if self._bandwidth_mbit is not None:
            self._shrink_buckets(self._bandwidth_mbit)
        self._nodes = [self._net.get(name) for name in self._network.nodes]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        net, self._net = self._net, None
        # When the whole program ends (Ctrl-C), its namespaces go and take the network
        # with them, at once; taking down 256 hosts link by link is 10 s.
        if net is not None and (error is None or isinstance(error, Exception)):
            net.stop()

    def address(self, index: int) -> str:
        address: str = self._nodes[index].IP()
        return address

    def check(self, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
        # First, for the pings' sake too: at 256 hosts they alone fill the table.
        self._know_neighbours(pairs)
        round_trips_ms = self._ping_all()
        if self._bandwidth_mbit is not None:
            self._check_bandwidth(self._bandwidth_mbit)
        if self._load.delay_ms:
            least_ms = self._load.delay_ms - (self._load.jitter_ms or 0)
            check_delay(least_ms, round_trips_ms)
        if self._load.loss_percent:
            self._check_loss(self._load.loss_percent)
        ordered = sorted(round_trips_ms.values())
        return {
            "ping_rtt_us": {
                "p50": round(ordered[len(ordered) // 2] * 1000, 1),
                "max": round(ordered[-1] * 1000, 1),
            }
        }

    def spawn(
        self,
        index: int,
        argv: Sequence[str],
        *,
        folder: Path,
        log: IO[bytes],
        piped: bool = False,
    ) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = self._nodes[index].popen(
            [script(argv[0]), *argv[1:]], cwd=folder, **standard_streams(log, piped)
        )
        return process

    def traffic(self, index: int) -> Traffic | None:
        name = self._nodes[index].defaultIntf().name
        table = Path(f"/proc/{self._nodes[index].pid}/net/dev").read_text()
        for line in table.splitlines():
            interface, _, counters = line.partition(":")
            if interface.strip() == name:
                values = [int(value) for value in counters.split()]
                return Traffic(
                    tx_bytes=values[8],
                    rx_bytes=values[0],
                    tx_packets=values[9],
                    rx_packets=values[1],
                )
        return None

    def describe(self) -> dict[str, object]:
        return {
            "kind": "mininet",
            "switch": "LinuxBridge",
            "mininet": importlib.metadata.version("mininet"),
            "bridge_netfilter": self._netfilter,
        } | (
            {}
            if self._bandwidth_mbit is None
            else {"bucket_bytes": bucket_bytes(self._bandwidth_mbit)}
        )

    def link_options(self, *, shaped: bool) -> dict[str, object]:
        """Mininet's options of a link."""
        options: dict[str, object] = {}
        if shaped and self._bandwidth_mbit is not None:
            options["bw"] = self._bandwidth_mbit
        load = self._load
        if load.delay_ms:
            options["delay"] = f"{load.delay_ms:g}ms"
        if load.jitter_ms:
            options["jitter"] = f"{load.jitter_ms:g}ms"
        if load.loss_percent:
            options["loss"] = load.loss_percent
        return options

    def _ping_all(self) -> dict[str, float]:
        """The best of two pings from host 0 to every other host, in ms. The first one after the
        start is sometimes lost, so the ping ends after two answers.

        Raises:
            HostError: some host does not answer.
        """
        others = [self.address(i) for i in range(1, len(self._nodes))]
        one = "echo {} $(ping -q -n -c 2 -i 0.2 -w 5 {} 2>&1 | tail -n 1)"
        process = self._nodes[0].popen(
            ["xargs", f"-P{_PINGS_AT_ONCE}", "-I{}", "sh", "-c", one],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said, _ = process.communicate("\n".join(others), timeout=_PING_TIMEOUT_S)
        found = parse_pings(said)
        silent = [address for address in others if address not in found]
        if silent:
            raise HostError(
                f"{len(silent)} of {len(others)} hosts do not answer a ping "
                f"from {self.address(0)}: {' '.join(silent[:5])}"
            )
        return found

    def _shrink_buckets(self, rate_mbit: float) -> None:
        """Limit the bursts of shapers.

        Mininet's htb has a bucket of a full packet, 1.6 kB: five small events, which at
        5 Mbit/s would pass 2.6 ms early, as on no real link. The bucket need not hold
        a packet (htb sends on credit, and then waits), only what the rate brings while
        the kernel is late.
        """
        for interface in self._shaped_interfaces():
            said = interface.node.cmd(
                *("tc", "class", "change", "dev", interface.name, "parent", "5:0"),
                *("classid", "5:1", "htb", "rate", f"{rate_mbit:f}Mbit"),
                *("burst", bucket_bytes(rate_mbit)),
                *("cburst", bucket_bytes(rate_mbit)),
            )
            if said.strip():
                raise HostError(
                    f"{interface.name} cannot be limited to {rate_mbit:g} Mbit/s: "
                    f"{' '.join(said.split())}"
                )

    def _check_bandwidth(self, asked_mbit: float) -> None:
        """Check the shaping in the kernel at both ends of every shaped link."""
        for interface in self._shaped_interfaces():
            shown = interface.node.cmd("tc", "class", "show", "dev", interface.name)
            rate_mbit = parse_rate_mbit(shown)
            if rate_mbit is None or abs(rate_mbit / asked_mbit - 1) > 0.01:
                raise HostError(
                    f"{interface.name} is not limited to {asked_mbit:g} Mbit/s: "
                    f"{' '.join(shown.split()) or 'it has no traffic class'}"
                )

    def _check_loss(self, asked_percent: float) -> None:
        """Check the loss in the kernel at both ends of every link."""
        for interface in self._interfaces(lambda link: True):
            shown = interface.node.cmd("tc", "qdisc", "show", "dev", interface.name)
            found = parse_loss_percent(shown)
            if found is None or abs(found - asked_percent) > 0.01 * asked_percent:
                raise HostError(
                    f"{interface.name} does not lose {asked_percent:g} %: "
                    f"{' '.join(shown.split()) or 'it has no queueing discipline'}"
                )

    def _shaped_interfaces(self) -> Iterator[Any]:
        """Both ends of every shaped link."""
        return self._interfaces(lambda link: link.shaped)

    def _interfaces(self, wanted: Callable[[topologies.Link], bool]) -> Iterator[Any]:
        for link in self._network.links:
            if wanted(link):
                first, second = (self._net.get(name) for name in link.ends)
                yield from first.connectionsTo(second)[0]

    def _know_neighbours(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Write permanent neighbour entries for communicating hosts.

        The neighbour table is one for all namespaces; 256 hosts in a mesh overflow
        its limit, and packets are lost. Permanent entries do not count. They also
        keep address resolution out of the latencies of first events.
        """
        lines: dict[int, list[str]] = {}
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                node, peer = self._nodes[here], self._nodes[there]
                lines.setdefault(here, []).append(
                    f"neigh replace {peer.IP()} lladdr {peer.MAC()} "
                    f"dev {node.defaultIntf().name} nud permanent\n"
                )
        for index, batch in lines.items():
            done = self._nodes[index].popen(
                ["ip", "-batch", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            said, _ = done.communicate("".join(batch), timeout=_PING_TIMEOUT_S)
            if done.returncode:
                raise HostError(f"no neighbour entries: {' '.join(said.split())}")


def _raise_open_files() -> None:
    """Mininet takes two file descriptors a node, and the processes on its hosts
    inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
