"""The group of brokers in a status report, prepared for text, screen, page and metrics."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pubsub_broker.registry.changes import broker_name
from pubsub_common.protocol.endpoints import host_of, port_of
from pubsub_common.protocol.messages import BrokerStatus, ClientStatus, Status


class ShownBroker(msgspec.Struct):
    """A broker of the group. ``own``: it made the report. A broker that is not
    ``alive`` has not renewed its lease in the registry, and its ``clients`` have not
    moved yet."""

    address: str
    version: str
    clients: int
    alive: bool
    own: bool


class GroupView(msgspec.Struct):
    """The group of the broker that made the report. ``cut_off_s``: for how long it has
    not reached the registry; None: it is connected."""

    name: str
    cut_off_s: float | None
    alive: int
    brokers: list[ShownBroker]


def group_of(status: Status) -> GroupView | None:
    """The group, with its brokers in the order of their addresses; None without a
    group."""
    registry = status.registry
    if registry is None:
        return None
    own = own_broker(status)
    return GroupView(
        registry.group,
        registry.cut_off_s if registry.cut_off else None,
        sum(each.alive for each in status.brokers),
        [
            ShownBroker(
                each.address, each.version, each.clients, each.alive, each is own
            )
            for each in sorted(status.brokers, key=_in_order)
        ],
    )


def _in_order(broker: BrokerStatus) -> tuple[bool, str, str]:
    return not broker.alive, broker.address, broker.broker


def own_broker(status: Status) -> BrokerStatus | None:
    """The broker that made the report; None without a group."""
    name = broker_name(status.epoch)
    return next((each for each in status.brokers if each.broker == name), None)


def elsewhere(client: ClientStatus, own: BrokerStatus | None) -> str | None:
    """The broker of a client, if it is not ``own``, the one that made the report; else
    None."""
    if client.broker is None or (own is not None and client.broker == own.address):
        return None
    return client.broker


def short_names(group: GroupView) -> dict[str, str]:
    """Short names of brokers, by address: their hosts, if all have the same port."""
    addresses = {each.address for each in group.brokers}
    hosts = {address: host_of(address) for address in addresses}
    if len({port_of(each) for each in addresses}) > 1:
        return {address: address for address in addresses}
    return hosts


def own_part(status: Status) -> Status:
    """The report with only the own clients of its broker, which are complete."""
    own = own_broker(status)
    clients = [each for each in status.clients if elsewhere(each, own) is None]
    return msgspec.structs.replace(status, clients=clients)


def others(status: Status) -> list[str]:
    """The control addresses of the other live brokers."""
    own = own_broker(status)
    return [each.address for each in status.brokers if each.alive and each is not own]


def joined(status: Status, reports: Mapping[str, Status]) -> Status:
    """The report, completed with the own clients in ``reports``, which are those of
    other brokers by address."""
    found = {each.session: each for each in status.clients}
    for report in reports.values():
        found.update((each.session, each) for each in own_part(report).clients)
    return msgspec.structs.replace(
        status, clients=[found[session] for session in sorted(found)]
    )
