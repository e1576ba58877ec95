"""Replies with information about the broker itself."""

from __future__ import annotations

from collections.abc import Callable

from pubsub_broker.control.agreement import Agreement
from pubsub_broker.control.brokers import Brokers
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.refusals import Refusals
from pubsub_broker.control.status_pages import StatusPages
from pubsub_common.protocol.messages import (
    ClockReply,
    ClockRequest,
    Hello,
    HelloReply,
    Model,
    RegistryStatus,
    Status,
    StatusRequest,
)


class SelfReport:
    """Replies to requests that change nothing. ``now`` is seconds of one monotonic
    clock."""

    def __init__(
        self,
        model: Model,
        clients: Clients,
        brokers: Brokers,
        agreement: Agreement,
        status_pages: StatusPages,
        refusals: Refusals,
        *,
        epoch: int,
        clock_ns: Callable[[], int],
        forwarded: Callable[[], int],
        address: Callable[[], str],
        version: str,
        now: float,
    ) -> None:
        self._model = model
        self._clients = clients
        self._brokers = brokers
        self._agreement = agreement
        self._status_pages = status_pages
        self._refusals = refusals
        self._epoch = epoch
        self._clock_ns = clock_ns
        self._forwarded = forwarded
        self._address = address
        self._version = version
        self._started_at = now

    def hello(self, request: Hello) -> HelloReply:
        """The reply to a client that chooses a broker."""
        return HelloReply(
            id=request.id,
            epoch=self._epoch,
            model=self._model,
            clients=self._clients.own.count(),
            cut_off=self._agreement.cut_off,
            brokers=self._brokers.addresses,
        )

    def time(self, request: ClockRequest) -> ClockReply:
        """The reply to a client that compares its clock."""
        received_ns = self._clock_ns()
        return ClockReply(
            id=request.id,
            sent_ns=request.sent_ns,
            received_ns=received_ns,
            replied_ns=self._clock_ns(),
        )

    def status(self, request: StatusRequest, now: float) -> Status:
        """The status of the broker and its group, or one page of it."""
        page = self._status_pages.page(request.from_session, now)
        return Status(
            id=request.id,
            epoch=self._epoch,
            model=self._model,
            uptime_s=now - self._started_at,
            clients=page.clients,
            expected=page.expected,
            forwarded=self._forwarded(),
            rejected=self._refusals.count,
            next_session=page.next_session,
            brokers=self._brokers.status(self._clients.counts()),
            registry=self._registry(now),
            address=self._address(),
            version=self._version,
        )

    def _registry(self, now: float) -> RegistryStatus | None:
        if self._brokers.group is None:
            return None
        since = self._agreement.cut_off_since
        return RegistryStatus(
            group=self._brokers.group,
            cut_off=since is not None,
            cut_off_s=0.0 if since is None else now - since,
        )
