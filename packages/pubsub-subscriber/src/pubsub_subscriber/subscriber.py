"""The subscriber class for programs that use threads.

The user's thread receives (`pubsub_subscriber.receiving.receiver`). The control thread learns of
publishers and connects the sockets to them, under each socket's lock. In the main thread, a signal
handler may raise an exception at any moment (`pubsub_common.uninterrupted`); so the main thread
has another thread do all work except receiving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from pubsub_common import defaults
from pubsub_common.net.deadline import deadline_after
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.config import Start, SubscriberConfig
from pubsub_subscriber.readings import SubscriberReadings
from pubsub_subscriber.seed_methods import SeedMethods


class Subscriber(SubscriberReadings, SeedMethods):
    """Receives the events of topics, from the broker or directly from the publishers.

    Example:
        ```python
        with Subscriber(topics=["weather", "sensors/#"]) as subscriber:
            for event in subscriber:
                print(event.topic, event.payload)
        ```

    Call `configure`, receive, and call `disconnect`; a ``with`` block does the first and the
    last. An object serves once. After a fork, the child makes its own.

    Iterate over the subscriber, or call `receive` or `notify`. One thread at a time receives;
    a call of another thread waits for that first, if need be longer than its ``timeout_s``.
    Any thread and any signal handler may call `stop`, `disconnect` and the methods and
    properties that only return something.
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
        shared_memory: defaults.SharedMemory = "auto",
        views: bool = False,
    ) -> None:
        """Check the arguments; nothing is opened before `configure`.

        Environment variables such as ``PUBSUB_BROKER`` and ``PUBSUB_KEYS`` are read by the
        programs, not by this class.

        Args:
            topics: The topics, a list of texts. ``+`` stands for one level of a topic and ``#``
                for all further levels: ``sensors/+/temp``, ``sensors/#``.
            broker_address: The IP address or name of the broker, with or without its port:
                ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``. Several brokers are a list, or one
                text with commas: the subscriber takes the less loaded of two, and moves to
                another one when that broker is lost. A name is looked up by `configure`, and
                again when the broker is not found there.
            max_event_count: After so many events iteration, `receive` and `notify` end. None:
                only `notify` ends, after 15 events, unless ``indefinite`` is set.
            indefinite: No number of events ends this subscriber.
            recover: Request missing events from their publishers, which keep them with
                ``history``, and deliver them in order: before later events of the same
                publisher and topic.
            start: ``now``, or ``history``: begin with the oldest event that each publisher
                still has. ``history`` implies ``recover``.
            keys: The file with the keys of this client, for a secure broker.
            name: The name of this client in the broker's status, page, log and metrics: at
                most 64 printable characters without spaces. None: ``program@host:pid``.
                "": no name.

        Other args:
            filename: The CSV file to which `notify` writes the latency of each event at its
                end. It needs a limited number of events. One subscriber at a time may have it.
            centralized: Whether the broker must be centralized; a broker of the other model
                refuses this subscriber. None: either model.
            broker_port: The port, where ``broker_address`` names none; None: 5555.
            address: The IP address or name of this host. None: found automatically.
            clock: The clock of time stamps, ``realtime`` or ``monotonic``; publishers must use
                the same one.
            connect_timeout_s: Seconds that `configure` waits for the broker.
            attach_timeout_s: Seconds that `configure` waits until the publishers that the
                broker knows are connected, so that their next events arrive. Missing ones are
                logged. 0: no wait.
            queue_limit: Most messages that wait here, for each connection.
            queue_bytes: Most bytes that wait here, for each connection.
            queue_total: Most bytes that wait here, for all connections together.
            max_payload_bytes: Largest payload; a connection that sends a larger one is closed.
            on_event: `notify` calls it with each event.
            on_gap: Called with each run of lost events, in the thread that receives.
            recover_timeout_s: Seconds after which a missing event counts as lost.
            recover_bytes: Most bytes of events that wait for an earlier one, over all
                publishers and topics, with 256 for each event. Above it, waiting events are
                dropped, and are requested again or count as lost.
            on_publisher: Called with a publisher of these topics and True when it joins, or
                False when it leaves. It runs in the control thread and must not wait. An
                exception in it ends this subscriber.
            safe_csv: In ``filename``, put an apostrophe before texts that a spreadsheet would
                run as a formula. Analyses need the texts without it.
            shared_memory: Receive large events of publishers on this host by shared memory,
                with the extra ``pubsub-subscriber[shm]``: ``auto`` where it is installed and
                the broker is not secure, ``on`` or ``off``.
            views: Payloads are memoryviews, valid until the next event. Those from shared
                memory are not copied, and keep it occupied while they are used.

        Raises:
            ConfigError: An argument is not valid, or the file cannot be written.
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
                shared_memory=shared_memory,
                views=views,
            )
        )

    # Set-up and end

    def configure(self) -> None:
        """Register with the broker, connect to it or to the publishers, and wait until the
        publishers that the broker knows are connected (``attach_timeout_s``). After an error,
        or an exception of a signal handler, this subscriber is disconnected.

        Raises:
            PubSubError: The broker's name is unknown, or this was called before.
            ConfigError: Another subscriber has this ``filename``.
            BrokerUnreachable: No broker answered in time.
            HandshakeFailed: The keys of the broker and of this subscriber do not match.
            RegistrationRefused: The broker refused this subscriber.
            NotReady: `stop` was called before the broker answered.
        """
        run_uninterrupted(self._runtime.open, self._runtime.abort)

    def disconnect(self) -> None:
        """Disconnect, and tell the broker. Before `configure`, and again, this does nothing.
        Within a call that receives, in a callback or a signal handler, another thread does it
        soon."""
        self._runtime.disconnect()

    def __enter__(self) -> Self:
        if self._runtime.life.state != "configured":
            try:
                self.configure()
            except BaseException:
                self.disconnect()  # it may have been configured when a signal came
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
        """Events as they arrive, until `stop` or ``max_event_count``.

        Raises:
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        return chain.from_iterable(self._runtime.receiver.bursts(self))

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the next event.

        Args:
            timeout_s: Seconds; None: no limit. 0: no wait.

        Returns:
            The event. None after ``timeout_s`` seconds, after `stop`, or when
            ``max_event_count`` events were received.

        Raises:
            ConfigError: ``timeout_s`` is not a number.
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        receiver = self._runtime.receiver
        # As in `Receiver.receive`: an event that has arrived needs no deadline.
        for event in receiver.queue.burst: return event  # noqa: E701  # fmt: skip
        return receiver.receive(deadline_after(timeout_s))

    def parse_publish_event(self, topic: str = "") -> Event | None:
        """The next event that has arrived, without waiting; None if there is none.

        Events of other topics are kept for later. While they take more than 64 MiB, nothing
        more is read.

        Args:
            topic: Only events of this topic. "": of any topic.
        """
        return self._runtime.receiver.next_arrived(topic)

    def batches(self) -> Iterator[Batch]:
        """Events as they arrive, in batches: events that were published together come
        together. An event that was published alone is a batch of one.

        Raises:
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        return self._runtime.receiver.batches(self)

    def notify(self) -> None:
        """Receive ``max_event_count`` events (15 if none was given), or until `stop`, and call
        ``on_event`` with each. At the end, also after an error, write their latencies to
        ``filename``.

        Raises:
            OSError: The file could not be written.
            PubSubError: This subscriber is not connected, or the broker refused it.
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
        """Write the latencies that `notify` recorded to ``filename``, if there is one. `notify`
        calls this.

        Raises:
            OSError: The file could not be written.
        """
        self._runtime.recording.write()

    def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Wait until every publisher of these topics that the broker knows is connected: all
        events that they publish from then on arrive. Events that arrive meanwhile are kept.

        Args:
            timeout_s: Seconds; None: no limit.

        Raises:
            ConfigError: ``timeout_s`` is not a number.
            NotReady: A publisher was not connected in time, `stop` was called, or 64 MiB of
                events have arrived that must be received first.
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        self._runtime.wait_until_ready(timeout_s)
