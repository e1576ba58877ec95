"""The client's side of the control protocol, without socket and clock.

Theory of operation
-------------------
The shell calls `tick` and sends what it returns, feeds every reply to `receive`,
and calls again at `next_deadline`. Times are seconds of any monotonic clock.

::

    UNREGISTERED --tick--> register sent --registered--> REGISTERED --tick--> heartbeat
         ^                      |                           |  ^                  |
         |   no answer in time  |   refused: final          |  +----- alive ------+
         +----------------------+                           |
         +---- unknown session, new epoch, missed push, silence for a lease,
               a heartbeat refused (a second one, right after that, is final)

Registering again under the same session is always safe: the broker answers with
its full state, from which the client derives what changed for it. So every doubt
(a push with a revision that skips one, a broker that restarted, a lease that ran
out while this process was stopped) has the same cure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.open_requests import OpenRequests, Verdict
from pubsub_common.client.reported_numbers import ReportedNumbers
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    BrokersUpdated,
    DemandUpdated,
    GrantsUpdated,
    HeartbeatRefused,
    Postponed,
    PublishersUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.defaults import (
    BROKER_SILENCE_S,
    HEARTBEATS_PER_LEASE,
    LEASE_S,
    REGISTER_ANSWER_S,
    REGISTER_LATER_S,
    REGISTER_RETRY_S,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.versions import VERSIONS, strange_choice
from pubsub_common.text.printable import cut, printable

_MIN_HEARTBEAT_S: Final = 0.02


class ClientSession:
    """State of one client's registration."""

    def __init__(
        self, identity: Identity, now: float, heartbeat: HeartbeatInputs | None = None
    ) -> None:
        self._identity = identity
        self._inputs = heartbeat or HeartbeatInputs()
        self._requests = OpenRequests()
        self._deadline = now
        self._last_reply_at = now
        self._registered = False
        self._finished = False
        self._unsent = False
        # When the broker's reply is late; None: no reply is missing.
        self.silent_at: float | None = None
        self._revision = 0
        # Numbers of the current identity, of the sent one, and of the one that the broker knows.
        self._change = self._sent_change = self.told_change = 0
        self._numbers = ReportedNumbers()
        self.session: int | None = None
        self.epoch: int | None = None
        self.lease_s = LEASE_S

    @property
    def registered(self) -> bool:
        return self._registered

    @property
    def registering(self) -> bool:
        """Whether a registration waits for its reply."""
        return self._requests.registering

    def is_silent(self, now: float) -> bool:
        """Whether the broker's reply is late."""
        return self.silent_at is not None and now >= self.silent_at

    def next_deadline(self) -> float | None:
        """When `tick` is due; None: never (refused)."""
        return None if self._finished else self._deadline

    def tick(
        self, now: float, clock: messages.ClockOffset | None = None
    ) -> tuple[messages.Register | messages.Heartbeat | None, list[SessionUpdate]]:
        """The message that is due at ``now``, if any, and updates for the client. ``clock`` is
        this client's clock offset, if known.

        The caller calls `send_failed` if there was no connection for the message; it is then
        due again shortly.
        """
        if self._finished or now < self._deadline:
            return None, []
        self._unsent = False
        updates: list[SessionUpdate] = []
        if self._registered and now - self._last_reply_at > self.lease_s:
            self._registered = False
            updates.append(BrokerLost(farewell=False))
        if self.silent_at is None:
            self.silent_at = now + BROKER_SILENCE_S
        if not self._registered:
            self._deadline = now + REGISTER_ANSWER_S
            return self._register(), updates
        self._deadline = now + self._heartbeat_s()
        assert self.session is not None
        published = self._inputs.published
        changed = None if published is None else self._numbers.changed(published())
        return messages.Heartbeat(
            id=self._requests.heartbeat(),
            session=self.session,
            revision=self._revision,
            clock=clock,
            lost=dict(self._inputs.lost()),
            published=changed,
            latency=self._inputs.latency(),
        ), updates

    def change(self, identity: Identity, now: float, number: int) -> None:
        """Use this ``identity`` from now on. It is sent at once, or after the reply to an
        open request. Then ``number`` becomes `told_change`."""
        self._identity = identity
        self._change = number
        if self._registered:
            self._register_soon(now)

    def finish(self) -> None:
        """This client has ended: nothing is due any more."""
        self._finished = True
        self._registered = self._requests.registering = False

    def send_failed(self, now: float) -> None:
        """There was no connection for the message of the last `tick`."""
        self._numbers.not_sent()
        self._unsent = True
        self.silent_at = None
        self._requests.registering = False
        self._deadline = now + REGISTER_RETRY_S

    def connected(self, now: float) -> None:
        """There is a connection: unsent messages are due at once."""
        if self._unsent:
            self._unsent = False
            self._deadline = min(self._deadline, now)

    def reconnected(self, now: float) -> None:
        """The connection was lost and is back: open requests get no reply. It may be another
        broker, and the farewell of the previous one may have been lost."""
        self._deadline = min(self._deadline, now)

    def left(self, now: float) -> None:
        """This client has left its broker, and will register with another one."""
        self._registered = self._unsent = self._finished = False
        self._requests.forget()
        self.silent_at = None
        self._deadline = now

    def renew(self, now: float) -> None:
        """Make a heartbeat due now."""
        if self._registered:
            self._deadline = min(self._deadline, now)

    def receive(self, reply: messages.Reply, now: float) -> list[SessionUpdate]:
        """The updates from a broker's message."""
        if self._finished:
            return []
        self.silent_at = None
        # Refusals do not count as signs of life: else a lease would never end.
        if not isinstance(reply, messages.Error):
            self._last_reply_at = now
        match reply:
            case messages.Registered():
                return self._on_registered(reply, now)
            case messages.Alive():
                self._requests.heartbeat_served()
                if not self._registered:
                    return []  # the reply on its way holds it all
                if not reply.known or reply.epoch != self.epoch:
                    self._register_soon(now)
                elif reply.revision > self._revision:
                    # On one connection a push cannot overtake a reply, so it is lost.
                    self._register_soon(now)
                if reply.demand is not None:
                    return [DemandUpdated(reply.demand)]
            case messages.PublishersChanged():
                news = PublishersUpdated(reply.joined, reply.left, reply.ports)
                return self._on_push(reply.revision, news, now)
            case messages.VouchedChanged():
                return self._on_push(reply.revision, GrantsUpdated(reply.vouched), now)
            case messages.BrokersChanged():
                return self._on_push(reply.revision, BrokersUpdated(reply.brokers), now)
            case messages.Farewell():
                if self._registered:
                    self._registered = False
                    self._deadline = now + REGISTER_RETRY_S
                    return [BrokerLost(farewell=True)]
            case messages.Error(detail=detail):
                # For people; any program may answer there.
                shown = printable(cut(detail))
                return self._on_error(msgspec.structs.replace(reply, detail=shown), now)
        return []

    def leave(self, next_sequences: Mapping[str, int]) -> messages.Disconnect | None:
        """The `Disconnect` message; None if the broker does not know this client."""
        self._finished = True
        if not self._registered or self.session is None:
            return None
        return messages.Disconnect(
            id=self._requests.take_id(),
            session=self.session,
            next_sequences=dict(next_sequences),
        )

    def _heartbeat_s(self) -> float:
        """Seconds until the next heartbeat; a broker may set any lease."""
        return max(self.lease_s / HEARTBEATS_PER_LEASE, _MIN_HEARTBEAT_S)

    def _register(self) -> messages.Register:
        self._sent_change = self._change
        return self._identity.register(self._requests.registration(), self.session)

    def _register_soon(self, now: float) -> None:
        self._registered = False
        self._deadline = now

    def _on_registered(
        self, reply: messages.Registered, now: float
    ) -> list[SessionUpdate]:
        if not self._requests.registered(reply.id):
            return []  # the answer to an attempt that was given up
        if reply.version not in range(VERSIONS[0], VERSIONS[1] + 1):
            self._finished = True
            return [Rejected(messages.WRONG_VERSION, strange_choice(reply.version))]
        again = self.session is not None
        self._registered = True
        self.session = reply.session
        self.epoch = reply.epoch
        self.lease_s = reply.lease_s
        self._revision = reply.revision
        self._numbers.clear()  # it may be another broker
        self.told_change = self._sent_change
        self._deadline = now + self._heartbeat_s()
        if self.told_change != self._change:
            self._register_soon(now)
        return [Accepted(reply, again)]

    def _on_push(
        self,
        revision: int,
        news: PublishersUpdated | GrantsUpdated | BrokersUpdated,
        now: float,
    ) -> list[SessionUpdate]:
        if not self._registered:
            return []  # the reply on its way holds it all
        if revision != self._revision + 1:
            self._register_soon(now)
            return []
        self._revision = revision
        return [news]

    def _on_error(self, error: messages.Error, now: float) -> list[SessionUpdate]:
        code, detail = error.code, error.detail
        verdict = self._requests.judge(error, registered=self._registered)
        match verdict:
            case Verdict.NOTHING:
                return []
            case Verdict.FORGOTTEN:
                self._register_soon(now)
                return []
            case Verdict.POSTPONED:
                self._deadline = now + REGISTER_LATER_S
                return [Postponed(code, detail)]
            case Verdict.HEARTBEAT_REFUSED:
                self._register_soon(now)
                return [HeartbeatRefused(code, detail)]
            case Verdict.REFUSED | Verdict.ENDED:
                self._finished = True
                return [Rejected(code, detail, ended=verdict is Verdict.ENDED)]
