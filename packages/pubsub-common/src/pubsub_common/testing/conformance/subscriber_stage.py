"""The surroundings of a subscriber: publishers, or the forwarders of a broker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pubsub_common.protocol.messages import Heartbeat
from pubsub_common.protocol.wildcards import is_filter
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort, Source
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.ledger import Item
from pubsub_common.testing.conformance.stage import MANY, Stage
from pubsub_common.testing.conformance.subscription_checks import subscription_check

_FIRST_PUBLISHER: Final = 2**48


class SubscriberStage(Stage):
    """``ports`` are all ports that events come from."""

    def __init__(self, command: Sequence[str], patience_s: float, section: str) -> None:
        super().__init__("subscriber", command, patience_s, section)
        self.ports: list[DataPort] = []
        self._sessions = _FIRST_PUBLISHER
        self._allowed: set[str] = set()

    def start(self, *topics: str, count: int = MANY, interval_s: float = 0.02) -> None:
        # It may subscribe to its topics wherever it is connected, but for wildcards.
        self._allowed.update(topic for topic in topics if not is_filter(topic))
        super().start(*topics, count=count, interval_s=interval_s)

    # Publishers

    def publisher(
        self,
        *topics: str,
        strengths: Mapping[str, int] | None = None,
        listed: bool = True,
    ) -> Source:
        """A publisher with a port of its own, which the broker names in its replies if it is
        ``listed``."""
        # One socket for all publishers subscribes to all topics at each of them.
        port = self.port(self._allowed)
        source = self.source(*topics, address=port.address, strengths=strengths)
        port.sources.append(source)
        if listed:
            self.broker.publishers.append(source.info())
        return source

    def source(
        self,
        *topics: str,
        address: str | None = None,
        strengths: Mapping[str, int] | None = None,
    ) -> Source:
        """A publisher without a port."""
        self._sessions += 1
        self._allowed.update(topics)
        name = address or f"10.1.1.1:{self._sessions - _FIRST_PUBLISHER}"
        return Source(self._sessions, topics, name, dict(strengths or {}))

    def port(
        self, topics: Collection[str], numbers: Collection[int] = (0,)
    ) -> DataPort:
        """A port from which the subscriber is to have these topics alone; its ready topics may
        tell one of these ``numbers`` of topics."""
        port = DataPort(self.context, self.transcript, self.now_s, topics)
        port.numbers.update(numbers)
        port.check = subscription_check(
            topics, lambda: self.broker.session, port.numbers
        )
        self.ports.append(port)
        self.readers.append(port)
        return port

    def forwarders(self, *sources: Source, number: int = 1) -> dict[str, DataPort]:
        """Be a centralized broker, with so many ports, to which topics are mapped in turn;
        the port of each topic."""
        topics = list(dict.fromkeys(topic for each in sources for topic in each.topics))
        self.broker.model = "centralized"
        self.broker.publishers = [each.info(centralized=True) for each in sources]
        count = len(topics)
        found: dict[str, DataPort] = {}
        for index in range(number):
            mine = topics[index::number]
            port = self.port(mine, (count,) if number > 1 else (0, count))
            port.sources = list(sources)
            found.update(dict.fromkeys(mine, port))
        self.broker.ports = {topic: port.port for topic, port in found.items()}
        return found

    def port_of(self, source: Source, topic: str | None = None) -> DataPort:
        """The port of a publisher, from which this topic of it comes."""
        return next(
            port
            for port in self.ports
            if source in port.sources and (topic is None or topic in port.topics)
        )

    # What happens

    def ready(self, *sources: Source) -> None:
        """Wait until the subscriber has asked each publisher whether it is ready, on all its
        topics."""
        for source in sources:
            port = self.port_of(source)
            self.until(
                lambda port=port, source=source: (
                    all(  # type: ignore[misc]
                        port.has(topic) for topic in source.topics
                    )
                    and {each.topic for each in port.questions} >= set(source.topics)
                ),
                f"subscriptions to {_some(source.topics)} and their ready topics at "
                f"{port.address}",
                section=page.READY,
                seen=lambda port=port: f"subscriptions to {_some(port.subscribed)}",  # type: ignore[misc]
            )

    def publish(
        self, source: Source, topic: str, count: int = 1, payload: bytes | None = None
    ) -> list[Item]:
        """Publish events, which the subscriber is to deliver."""
        items = [source.event(topic, payload) for _ in range(count)]
        for item in items:
            self.ledger.must_have(item)
            self.port_of(source, topic).publish(source, item)
        return items

    def delivers(
        self, section: str | None = None, within_s: float | None = None
    ) -> None:
        """Wait until the subscriber has delivered all that it is to deliver."""
        self.until(
            lambda: not self.ledger.due,
            "every event on standard output",
            section=section or self.section,
            within_s=within_s,
            seen=lambda: (
                f"{len(self.ledger.delivered)} events; missing are "
                + self.ledger.missing()
            ),
        )

    def reports_lost(
        self,
        lost: Mapping[str, int],
        section: str = page.SEQUENCES,
        within_s: float | None = None,
    ) -> None:
        """Wait until a heartbeat tells these losses, and they stay."""

        wanted = dict(lost)
        expected = f"heartbeats with `lost` {wanted}"
        if wanted:
            self.until(
                lambda: self.told_lost == wanted,
                expected,
                section=section,
                within_s=within_s,
                seen=lambda: f"`lost` {self.told_lost}",
            )
        self.heartbeats(2)
        if self.told_lost != wanted:
            raise Failed(expected, f"`lost` {self.told_lost}", section)

    @property
    def told_lost(self) -> dict[str, int]:
        """What the last heartbeat tells of losses."""
        heartbeats = self.broker.of(Heartbeat)
        return dict(heartbeats[-1].lost) if heartbeats else {}


def _some(names: Collection[object]) -> str:
    shown = [repr(name) for name in names][:5]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(shown) + more if shown else "nothing"
