"""A system of real processes with traffic: a broker, publishers and subscribers."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos_flow import Flow, strongest_on
from chaos_judge import Verdict, judge, unaccounted
from chaos_kinds import PLAIN, SHARED, Kind
from chaos_logs import now_ns
from chaos_owners import Owners
from chaos_parts import Place, Publisher, Subscriber, UsageCheck
from chaos_processes import WAIT_S, Failed, Process, wait_for
from chaos_roles import Roles

from pubsub_common.protocol.messages import Model


class System(Roles):
    """Processes with traffic between them, and the time for faults."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        rng: random.Random,
        *,
        recover: bool,
        lease_s: float = 2.0,
        place: Place | None = None,
        broker_options: Sequence[object] = (),
        subscribers: int = 2,
        kind: Kind = PLAIN,
    ) -> None:
        """``recover``: with history and recovery. Publishers wait for ``subscribers``
        before their first event."""
        super().__init__(
            folder,
            model,
            kind,
            recover=recover,
            lease_s=lease_s,
            place=place,
            broker_options=broker_options,
            subscribers=subscribers,
        )
        self.rng = rng
        self.owners = Owners(SHARED if kind.strengths else ())
        self.usage = UsageCheck([])

    # Time

    def refresh(self) -> None:
        """Read new lines of the logs, and check that no process has crashed."""
        for part in self.parts():
            part.process.check_runs()
            part.refresh()
        for broker in self.brokers():
            broker.check_runs()

    def run_for(self, seconds: float) -> None:
        """Let time pass: the duration of a fault, or the delay after the previous one.
        Nothing waits for a condition here."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self.refresh()
            time.sleep(min(left_s, 0.1))

    def run_between(self, least_s: float, most_s: float) -> None:
        """Let a random time pass."""
        self.run_for(self.rng.uniform(least_s, most_s))

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Like `chaos_processes.wait_for`, while no process may crash."""

        def refreshed() -> object:
            self.refresh()
            return condition()

        wait_for(refreshed, what)

    def living_publishers(self) -> list[Publisher]:
        return [pub for pub in self.publishers if pub.process.alive]

    def publisher_of(self, process: Process) -> Publisher | None:
        """The publisher of a process; None for other processes."""
        return next((pub for pub in self.publishers if pub.process is process), None)

    def living_subscribers(self) -> list[Subscriber]:
        return [sub for sub in self.subscribers if sub.process.alive]

    def wait_flowing(self, *, told: bool = False) -> None:
        """Wait until each running subscriber has events of each running publisher that
        were published after this call; on an owned topic, those of the owner. ``told``:
        subscribers may still learn of changes (see `Tenure`)."""
        self.wait_for(
            lambda: all(pub.log.session >= 0 for pub in self.living_publishers()),
            "all publishers publish",
        )
        flow = Flow(
            self.living_publishers(),
            self.living_subscribers(),
            self.owners.topics,
            now_ns(),
        )
        try:
            self.wait_for(lambda: not flow.silent(), "events flow")
        except Failed as error:
            raise Failed(f"{error}; not so: {', '.join(flow.silent()[:6])}") from None
        self.owners.begin(flow.owners, now_ns(), told=told)

    def owners_may_change(
        self, publisher: Publisher | None = None, *, leaving: bool = False
    ) -> None:
        """The next action may change the owner of a topic: of those on which this
        publisher is the strongest, or of all. ``leaving``: because it leaves normally.
        """
        if self.owners.topics:
            known_ns = now_ns()
            self.wait_flowing()
            topics = strongest_on(self.owners.topics, publisher, self.publishers)
            self.owners.end(topics, known_ns, leaving=leaving)

    def begin(self, publishers: int = 2, subscribers: int = 2) -> None:
        """Start everything, and record the resources of the processes in this state.
        Every other publisher publishes in batches."""
        self.start_broker()
        for index in range(subscribers):
            self.start_subscriber(f"sub{index + 1}")
        for index in range(publishers):
            self.start_publisher(f"pub{index + 1}", batch=10 if index % 2 else 1)
        self.note_usage()

    def note_usage(self) -> None:
        """The system is in a good state: its current resources are allowed."""
        self.wait_flowing()
        processes = [*self.brokers(), *(part.process for part in self.parts())]
        self.usage = UsageCheck(processes, self.kind.more_fds)

    # The end

    def finish(self) -> Verdict:
        """End everything normally, and judge.

        Raises:
            Failed: a process does not end as it must.
        """
        for process in self.ever:
            process.check_words()
        self.wait_for(
            lambda: all(part.begun for part in self.parts() if part.process.alive),
            "all have begun",
        )
        self.owners_may_change(leaving=True)
        for publisher in self.living_publishers():
            publisher.process.send(signal.SIGTERM)
        for publisher in self.publishers:
            if not (publisher.process.killed or publisher.process.ended):
                publisher.process.end_after_term()
        self._wait_settled()
        for process in [sub.process for sub in self.living_subscribers()]:
            process.end()
        for broker in self.brokers():
            if broker.alive:
                broker.end()
        for part in self.parts():
            part.refresh()
        return self.verdict()

    def _wait_settled(self) -> None:
        """Wait until all subscribers have accounted for all events. If they never do,
        the verdict lists the missing ones."""
        living = [sub.log for sub in self.living_subscribers()]
        until = time.monotonic() + WAIT_S / 2
        while time.monotonic() < until:
            for part in self.parts():
                part.refresh()
            publishers = [pub.log for pub in self.publishers]
            if not unaccounted(publishers, living, self.owners):
                return
            time.sleep(0.1)

    def verdict(self) -> Verdict:
        return judge(
            [pub.log for pub in self.publishers],
            [sub.log for sub in self.subscribers],
            self.owners,
        )
