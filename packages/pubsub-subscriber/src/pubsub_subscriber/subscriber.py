"""The subscriber class for programs that use threads.

The user's thread receives (`pubsub_subscriber.receiving.receiver`). The control thread learns of
publishers and connects the sockets to them, under each socket's lock. What is not the receiving
of events runs in a thread of its own where the user's is the main thread: there, a signal
handler may raise at any moment (`pubsub_common.uninterrupted`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from pubsub_common import defaults
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.config import Start, SubscriberConfig
from pubsub_subscriber.readings import SubscriberReadings
from pubsub_subscriber.seed_methods import SeedMethods


class Subscriber(SubscriberReadings, SeedMethods):
    """Receives the events of its topics, from the broker or from the publishers.

    Iterate over it for events, or call `notify`, which receives until
    ``max_event_count`` (or `stop` when ``indefinite``) and then writes the latencies
    to ``filename``, if there is one.

    Use `configure`, receive, `disconnect`; or a ``with`` block. It lives once: after
    `disconnect` make another one. `stop`, `disconnect` and what only tells something are for
    any thread and for signal handlers, the rest is for one thread at a time.
    """

    def __init__(
        self,
        filename: str | None = None,
        broker_address: str | Iterable[str] = defaults.LOOPBACK,
        topics: Iterable[str] = (),
        indefinite: bool = False,
        max_event_count: int | None = None,
        centralized: bool | None = None,
        *,
        broker_port: int | None = None,
        address: str | None = None,
        clock: str = "realtime",
        connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S,
        attach_timeout_s: float = defaults.ATTACH_TIMEOUT_S,
        queue_limit: int = defaults.QUEUE_LIMIT,
        queue_bytes: int = defaults.QUEUE_BYTES,
        queue_total: int = defaults.QUEUE_TOTAL_BYTES,
        max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES,
        on_event: Callable[[Event], None] | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        recover: bool = False,
        start: Start = "now",
        recover_timeout_s: float = defaults.RECOVER_TIMEOUT_S,
        recover_bytes: int = defaults.RECOVER_BYTES,
        on_publisher: Callable[[PublisherInfo, bool], None] | None = None,
        keys: str | Path | None = None,
        name: str | None = None,
        safe_csv: bool = False,
    ) -> None:
        """``broker_address`` is the broker's IP address or name, also with its port,
        ``HOST:PORT`` or ``[IPV6]:PORT``; ``broker_port`` is 5555 without either. A name is
        looked up by `configure`, and again when the broker is not found there any more.
        Of several brokers it is a list, or a text with commas: of two of them the emptier
        one is taken, and another one, under the same session, when that is gone.

        After ``max_event_count`` events iteration, `receive` and `notify` end. Without it
        only `notify` ends, after 15, unless ``indefinite``.

        ``centralized`` is the broker's model; None: whichever it has. A broker of the other
        one refuses this subscriber.

        `configure` waits for the broker at most ``connect_timeout_s`` seconds. Then it waits
        until what the publishers that are there publish will arrive, but at most
        ``attach_timeout_s`` seconds; those that are missing are named in the log. 0: it does
        not wait.

        ``queue_limit`` messages wait here for a program that is slow, of each connection, but
        no more than ``queue_bytes`` bytes (64 MiB), and ``queue_total`` of all connections
        (1 GiB). A connection by which a payload of more than ``max_payload_bytes`` bytes
        comes (64 MiB) is closed.

        ``on_event`` is called by `notify` for each event, ``on_gap`` for each run
        of events that is known to be lost, in the thread that receives.

        With ``recover`` events that are missing are asked for, and come in order:
        before later ones of the same publisher and topic. Publishers must keep a history
        for that; what they do not have, and what does not come within
        ``recover_timeout_s`` seconds, is lost. Events that wait for those before them
        take ``recover_bytes`` at most, over all publishers and topics, with 256 for each
        event; what is given up for that is asked for, or lost, like what never came.
        ``start`` "history" begins each stream with the oldest event that its publisher
        still has; it implies ``recover``.

        ``on_publisher`` is called when a publisher of these topics joins (True) or
        leaves (False), in the thread that talks to the broker; it must not wait. When it
        raises, this subscriber is finished.

        ``keys`` is the file of this client's keys, for a secure broker. Nothing is taken
        from the environment: ``PUBSUB_KEYS`` and ``PUBSUB_BROKER`` are for the programs.

        ``name`` is shown in the broker's status, page, log and metrics: at most 64 printable
        characters without spaces. None: ``program@host:pid``. "": none is shown.

        With ``safe_csv`` texts in the file ``filename`` that a spreadsheet would run as a
        formula have an apostrophe before them. Analyses want them as they are.

        Raises:
            ConfigError: an argument cannot work. ``filename`` needs a limited number
                of events, because it is written at the end, and must be writable; one
                subscriber at a time has it.
        """
        self._live(
            SubscriberConfig(
                filename,
                broker_address,
                topics,
                indefinite,
                max_event_count,
                centralized,
                broker_port=broker_port,
                address=address,
                clock=clock,
                connect_timeout_s=connect_timeout_s,
                attach_timeout_s=attach_timeout_s,
                queue_limit=queue_limit,
                queue_bytes=queue_bytes,
                queue_total=queue_total,
                max_payload_bytes=max_payload_bytes,
                on_event=on_event,
                on_gap=on_gap,
                recover=recover,
                start=start,
                recover_timeout_s=recover_timeout_s,
                recover_bytes=recover_bytes,
                on_publisher=on_publisher,
                keys=keys,
                name=name,
                safe_csv=safe_csv,
            )
        )

    # Set-up and end

    def configure(self) -> None:
        """Register with the broker, connect to it or to the publishers, and wait a little
        until what those publish will arrive (``attach_timeout_s``). When this fails, or an
        exception of a signal handler ends it, it is disconnected.

        Raises:
            PubSubError: the broker's name is not known; or this was called before.
            ConfigError: another subscriber has this ``filename``.
            BrokerUnreachable: no broker answered in time.
            HandshakeFailed: the broker and this subscriber do not agree on keys.
            RegistrationRefused: the broker will not have this subscriber.
            NotReady: `stop` was called before the broker answered.
        """
        run_uninterrupted(self._runtime.open, self._runtime.abort)

    def disconnect(self) -> None:
        """Leave the system, telling the broker. Before `configure`, and again: does
        nothing. For any thread, signal handlers and callbacks; from within a call that
        receives, another thread does it soon."""
        self._runtime.disconnect()

    def __enter__(self) -> Self:
        if self._runtime.life.state != "configured":
            try:
                self.configure()
            except BaseException:
                self.disconnect()  # it may have been done when a signal came
                raise
        self._runtime.check_usable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    # Receiving

    def __iter__(self) -> Iterator[Event]:
        """Events as they arrive, until `stop`, or ``max_event_count`` if there is one.

        Raises:
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        return chain.from_iterable(self._runtime.receiver.bursts(self))

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event, waiting for it; None after ``timeout_s`` seconds, after
        `stop`, or when ``max_event_count`` events have been received.

        Raises:
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return self._runtime.receiver.receive(deadline)

    def parse_publish_event(self, topic: str = "") -> Event | None:
        """The next event that has arrived, of ``topic`` if one is named, without
        waiting; None when there is none. Events of other topics stay for later; while they
        take more than 64 MiB, nothing more comes in."""
        return self._runtime.receiver.next_arrived(topic)

    def batches(self) -> Iterator[Batch]:
        """Events as they arrive, as iteration gives them, but those that were published
        together together. An event that came alone is a batch of one.

        Raises:
            PubSubError: as iteration does.
        """
        return self._runtime.receiver.batches(self)

    def notify(self) -> None:
        """Receive events until there are ``max_event_count`` (15 if none was given), or
        until `stop`; write their latencies to ``filename`` at the end, whatever ended it.

        Raises:
            OSError: the file could not be written.
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        recording = self._runtime.recording
        on_event, record = recording.on_event, recording.record
        event: Event | None = None
        try:
            # The user's call is the first one: in between, an exception of a signal handler
            # would take the event away from it.
            for event in recording.limited(self): on_event(event); record(event)  # noqa: E701, E702  # fmt: skip
            recording.log_limit()
        finally:
            run_uninterrupted(lambda: recording.write(event))

    def write_stored_messages(self) -> None:
        """Write the latencies that `notify` recorded to ``filename``; without one, do
        nothing.

        Raises:
            OSError: the file could not be written.
        """
        self._runtime.recording.write()

    def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Wait until every publisher of our topics that the broker knows has answered:
        all it publishes from here on arrives. Events that arrive meanwhile are buffered.

        Raises:
            NotReady: some had not answered after ``timeout_s`` seconds, or `stop`
                was called, or events of 64 MiB have come that must be received first.
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        self._runtime.wait_until_ready(timeout_s)
