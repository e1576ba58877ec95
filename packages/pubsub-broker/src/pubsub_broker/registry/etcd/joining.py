"""Creates a broker's membership in a group from the broker's options."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_broker.config import BrokerConfig
from pubsub_broker.registry.changes import About, BrokerRecord
from pubsub_broker.registry.etcd.credentials import Login, read_login, tls_context
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import EtcdRefused
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.link import GroupLink
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import FORMAT, Keys
from pubsub_broker.registry_options import parse_registry
from pubsub_common.defaults import BROKER_LEASE_S
from pubsub_common.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_LEASES: Final = 2


def make_link(
    config: BrokerConfig,
    broker: str,
    record: BrokerRecord,
    on_change: Callable[[], object],
) -> GroupLink:
    """The link of ``broker``, not started yet. A thread calls ``on_change`` when it has
    changes.

    Raises:
        ConfigError: the options are inconsistent, or one of their files cannot be used.
    """
    assert config.registry is not None, "the broker is to be in a group"
    assert config.group is not None, "the options were validated"
    keys = Keys(config.group)
    endpoints = Endpoints(parse_registry(config.registry))
    tls = None if config.registry_tls is None else tls_context(config.registry_tls)
    login = None if config.registry_login is None else _login(config.registry_login)
    group = Group(
        keys,
        broker,
        About(
            format=FORMAT,
            model="centralized" if config.centralized else "decentralized",
        ),
        record,
        alive_s=BROKER_LEASE_S,
        clients_s=clients_lease_s(config.lease_s),
    )

    def members() -> Members:
        return Members(endpoints, tls=tls, login=login)

    return GroupLink(group, keys, endpoints, members, on_change)


def clients_lease_s(lease_s: float) -> int:
    """How many seconds the clients of a dead broker stay registered. Its death may go
    unnoticed until its lease ends. A client that gets no replies looks for another
    broker within its own lease, and then has as long again to connect."""
    return BROKER_LEASE_S + math.ceil(_LEASES * lease_s)


def _login(path: str | Path) -> Callable[[], Login]:
    """Returns a function that reads user and password each time they are needed.

    Raises:
        ConfigError: they cannot be read now.
    """
    read_login(path)

    def login() -> Login:
        try:
            return read_login(path)
        except ConfigError as error:
            # The file was changed; the broker continues when it is repaired.
            raise EtcdRefused(str(error)) from None

    return login
