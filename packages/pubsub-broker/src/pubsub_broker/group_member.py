"""A broker in a group: connects its core with its link to etcd."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from pubsub_broker.config import BrokerConfig
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Effect, Moved, ProposeDelete, ProposePut
from pubsub_broker.monitoring.group_lines import GroupLines, unreachable_warning
from pubsub_broker.registry.changes import (
    BrokerRecord,
    Change,
    broker_name,
)
from pubsub_broker.registry.etcd.joining import clients_lease_s, make_link
from pubsub_broker.registry_options import parse_registry

_log = logging.getLogger(__name__)

# The number of changes per turn, some 10 ms of work: clients need not wait while
# thousands move.
_CHANGES_A_TURN: Final = 256


class GroupMember:
    """For the thread of the broker. ``now`` is monotonic seconds."""

    def __init__(
        self,
        config: BrokerConfig,
        core: BrokerCore,
        record: BrokerRecord,
        policy: Callable[[], str],
        wake: Callable[[], object],
    ) -> None:
        """``policy`` returns the digest of the permissions, which is part of the
        ``record``. Any thread may call ``wake`` to have `follow` called.

        Raises:
            ConfigError: the options are inconsistent, or one of their files cannot be
                used.
        """
        assert config.registry is not None, "the broker is to be in a group"
        assert config.group is not None, "the options were validated"
        self._core = core
        self._record = replace(record, policy=policy())
        core.describe(self._record)
        self._policy = policy
        self._wake = wake
        self._cut_off = True
        self._waiting: deque[Change] = deque()
        broker = broker_name(core.epoch)
        self._lines = GroupLines(config.group, broker, clients_lease_s(config.lease_s))
        if warning := unreachable_warning(
            record.address, parse_registry(config.registry)
        ):
            _log.warning("%s", warning)
        self._link = make_link(config, broker, self._record, wake)

    def begin(self, now: float) -> Iterator[Effect]:
        """Join the group; returns the effects of the state that etcd has.

        Raises:
            ConfigError: this broker cannot join the group.
        """
        self._link.begin()
        yield from self._follow(now, None)

    def threads(self) -> list[threading.Thread]:
        """The threads that `close` waits for."""
        return self._link.threads()

    def propose(self, proposal: ProposePut | ProposeDelete) -> None:
        """Have a proposal written."""
        if isinstance(proposal, ProposeDelete):
            self._link.delete_client(proposal.session, proposal.left)
        else:
            self._link.put_client(proposal.client)

    def follow(self, now: float) -> Iterator[Effect]:
        """The effects of news from etcd, and of its silence, until ``now``. Called in
        each turn before any client is served.

        Raises:
            ConfigError: this broker cannot be in the group any longer.
        """
        return self._follow(now, _CHANGES_A_TURN)

    def close(self, timeout_s: float) -> None:
        """Leave the group; waits for etcd at most ``timeout_s`` seconds."""
        self._link.close(timeout_s)

    def _follow(self, now: float, most: int | None) -> Iterator[Effect]:
        yield from self._set_cut_off(now)
        self._describe(now)
        self._lines.tick(now)
        self._waiting += self._link.take_changes()
        for _ in range(len(self._waiting) if most is None else most):
            if not self._waiting:
                break
            change = self._waiting.popleft()
            self._lines.told(change, self._record, now)
            for effect in self._core.applied(change, now):
                if isinstance(effect, Moved):
                    broker = self._lines.address_of(effect.broker)
                    yield dataclasses.replace(effect, broker=broker)
                else:
                    yield effect
        if self._waiting:
            self._wake()

    def _set_cut_off(self, now: float) -> list[Effect]:
        cut_off = self._link.cut_off()
        if cut_off == self._cut_off:
            return []
        self._cut_off = cut_off
        self._lines.cut_off(cut_off, self._link.why(), now)
        return self._core.set_cut_off(cut_off, now)

    def _describe(self, now: float) -> None:
        policy = self._policy()
        if policy != self._record.policy:
            self._record = replace(self._record, policy=policy)
            self._core.describe(self._record)
            self._link.describe(self._record)
            self._lines.compare(self._record, now)
