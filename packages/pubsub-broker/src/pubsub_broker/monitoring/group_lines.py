"""Log lines about the other brokers of a group, and about etcd."""

from __future__ import annotations

import logging
from typing import Final

from pubsub_broker.config import is_loopback
from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    Malformed,
    Restored,
)
from pubsub_broker.registry_options import Endpoint
from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.text.printable import printable

_log = logging.getLogger(__name__)

_MALFORMED: Final = "malformed"
# How long folders of brokers may differ: each broker reads its own twice a second, and
# people copy them from one machine to the next.
_COPIED_S: Final = 10.0


class GroupLines:
    """The lines of one broker. ``now`` is monotonic seconds."""

    def __init__(self, group: str, broker: str, clients_s: float) -> None:
        """``broker`` is the name of this broker. The clients of a broker that is gone
        stay registered for ``clients_s`` seconds."""
        self._group = group
        self._broker = broker
        self._clients_s = clients_s
        self._brokers: dict[str, BrokerRecord] = {}
        # Brokers and pairs of digests that differ, and since when; and those with a
        # warning already.
        self._differ_since: dict[tuple[str, str, str], float] = {}
        self._complained: set[tuple[str, str, str]] = set()
        self._throttle = LogThrottle()
        self._joined = False
        self._cut_off_at: float | None = None

    def cut_off(self, cut_off: bool, why: str, now: float) -> None:
        """The broker is cut off from etcd, or no longer; ``why`` is the last failure."""
        if cut_off:
            self._cut_off_at = now
            _log.warning(
                "cut off from etcd: clients are served, other brokers will learn of "
                "them later, and may consider this broker dead: %s",
                printable(why) or "its lease was not renewed in time",
            )
        elif not self._joined:
            self._joined = True
            _log.info("in the group %s", self._group)
        elif self._cut_off_at is not None:
            _log.warning("etcd answers again, after %.0f s", now - self._cut_off_at)
            self._cut_off_at = None

    def told(self, change: Change, own: BrokerRecord, now: float) -> None:
        """Log a change, if it has a log line; ``own`` is the record of this broker."""
        match change:
            case BrokerCame(broker=broker, record=record) if broker != self._broker:
                if broker not in self._brokers:
                    _log.info("broker %s is in the group", printable(record.address))
                self._brokers[broker] = record
                self.compare(own, now)
            case BrokerWent(broker=broker) if broker in self._brokers:
                address = printable(self._brokers.pop(broker).address)
                self.compare(own, now)
                _log.info(
                    "broker %s is gone; its clients have %g s to move",
                    address,
                    self._clients_s,
                )
            case Restored(revision=revision):
                _log.warning(
                    "etcd is back at revision %d, for example from a backup: each "
                    "broker writes its clients again",
                    revision,
                )
            case Malformed(key=key, reason=reason):
                if self._throttle.allows(_MALFORMED, now):
                    what = printable(f"{key.decode('ascii', 'replace')}: {reason}")
                    _log.warning("ignoring an invalid key in etcd: %s", what)

    def address_of(self, broker: str) -> str:
        """The address of another broker; its name if the address is unknown."""
        record = self._brokers.get(broker)
        return broker if record is None else record.address

    def compare(self, own: BrokerRecord, now: float) -> None:
        """Compare the digests again, after a change."""
        since = self._differ_since
        self._differ_since = {
            case: since.get(case, now)
            for broker, record in self._brokers.items()
            if (case := (broker, own.policy, record.policy)) not in self._complained
            and record.policy != own.policy
        }

    def tick(self, now: float) -> None:
        """Warn once about each broker that has accepted other keys than this one for
        some time."""
        if not self._differ_since:
            return
        for case, since in list(self._differ_since.items()):
            if now >= since + _COPIED_S:
                del self._differ_since[case]
                self._complained.add(case)
                _log.warning(
                    "broker %s has other keys, clients or policy than this one: all "
                    "brokers of a group need the same folder of --secure",
                    printable(self.address_of(case[0])),
                )


def unreachable_warning(address: str, registry: tuple[Endpoint, ...]) -> str | None:
    """The warning about a broker that advertises an address that only this machine
    reaches, while etcd is on another one; None if it does not apply."""
    host = host_of(address)
    if not is_loopback(host) or all(is_loopback(each.host) for each in registry):
        return None
    return (
        f"other brokers get {address} as the address of this one, which only this "
        "machine reaches; to change that: --bind ADDRESS or "
        "--advertise ADDRESS"
    )
