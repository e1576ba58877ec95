"""The surroundings of a publisher: subscribers, or the forwarders of a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Disconnect, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scripted_subscriber import ScriptedSubscriber
from pubsub_common.testing.conformance.stage import Stage

# It has letters among its hexadecimal digits.
_FIRST_SUBSCRIBER: Final = 2**52 + 0xABCDEF


class PublisherStage(Stage):
    """``subscribers`` are all that there ever were."""

    def __init__(self, command: Sequence[str], patience_s: float, section: str) -> None:
        super().__init__("publisher", command, patience_s, section)
        self.subscribers: list[ScriptedSubscriber] = []

    @property
    def address(self) -> str:
        """Where the publisher says that it is."""
        return self.broker.of(Register)[0].address

    def subscriber(self, session: int | None = None) -> ScriptedSubscriber:
        """A subscriber that is connected to the publisher."""
        subscriber = ScriptedSubscriber(
            self.context,
            self.address,
            _FIRST_SUBSCRIBER + len(self.subscribers) if session is None else session,
            self.transcript,
            self.now_s,
        )
        subscriber.check = self._check
        self.subscribers.append(subscriber)
        self.readers.append(subscriber)
        return subscriber

    def listening(self, topic: str = "A") -> ScriptedSubscriber:
        """A subscriber that has its ready answer for a topic."""
        subscriber = self.subscriber()
        self.answered(subscriber, topic)
        return subscriber

    def answered(self, subscriber: ScriptedSubscriber, topic: str) -> Event:
        """Subscribe to a topic; the ready answer."""
        question = subscriber.listen(topic)
        return self.until(
            lambda: subscriber.answer_to(question),
            f"a ready answer for {topic!r}",
            section=page.READY,
        )

    def events(
        self, subscriber: ScriptedSubscriber, topic: str = "A", number: int = 5
    ) -> list[Event]:
        """The next events that a subscriber has of a topic."""
        before = len(subscriber.of(topic))
        self.until(
            lambda: len(subscriber.of(topic)) >= before + number,
            f"{number} events of {topic!r}",
            section=page.EVENTS,
        )
        return subscriber.of(topic)[before:]

    def has_no_gap(
        self, subscriber: ScriptedSubscriber, topic: str, first: int
    ) -> None:
        """Raises:
        Failed: the events of a topic from ``first`` on, which a ready answer told, have
            not each the next number.
        """
        promised = [each for each in subscriber.of(topic) if each.sequence >= first]
        for wanted, event in enumerate(promised, first):
            if event.sequence != wanted:
                raise Failed(
                    f"event {wanted} of {topic!r} next, of all from {first} on",
                    str(event.sequence),
                    page.SEQUENCES,
                )

    def ends(self, left: Disconnect, topics: Sequence[str]) -> None:
        """Raises:
        Failed: a `disconnect` does not say where the topics that were listened to end.
        """
        for topic in topics:
            numbers = [
                event.sequence
                for subscriber in self.subscribers
                for event in subscriber.of(topic)
            ]
            told = left.next_sequences.get(topic)
            if told != max(numbers) + 1:
                raise Failed(
                    f"`next_sequences` with {max(numbers) + 1} for {topic!r}; its last "
                    f"event was {max(numbers)}",
                    str(told),
                    page.DISCONNECT,
                )

    def _check(self, event: Event) -> None:
        if event.session != self.broker.session:
            raise Failed(
                f"frames with the publisher's session {self.broker.session}",
                str(event.session),
                page.EVENTS,
            )
        if event.publisher != self.address:
            raise Failed(
                f"frames with the address that it registered, {self.address}",
                event.publisher,
                page.EVENTS,
            )
