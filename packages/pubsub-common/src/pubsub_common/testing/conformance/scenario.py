"""Scenarios: what they try, and the script that tries it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.protocol.messages import Role

if TYPE_CHECKING:
    from pubsub_common.testing.conformance.publisher_stage import PublisherStage
    from pubsub_common.testing.conformance.stage import Stage
    from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

Script = Callable[[Any], None]
# Options of the tool for what a client need not do, and may.
RECOVER: Final = "--recover"
BROKERS: Final = "--brokers"
OPTIONS: Final = (RECOVER, BROKERS)


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """``title`` is what a client must do, ``section`` of the page says so. ``optional`` names
    the option of the tool without which it is left out; None: always tried."""

    name: str
    title: str
    section: str
    roles: tuple[Role, ...]
    script: Script
    optional: str | None = None


SCENARIOS: list[Scenario] = []


def for_both(
    name: str, section: str, title: str, optional: str | None = None
) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """A scenario for publishers and subscribers alike."""
    return _adds(name, section, title, ("subscriber", "publisher"), optional)


def for_subscribers(
    name: str, section: str, title: str, optional: str | None = None
) -> Callable[[Callable[[SubscriberStage], None]], Callable[[SubscriberStage], None]]:
    """A scenario for subscribers."""
    return _adds(name, section, title, ("subscriber",), optional)


def for_publishers(
    name: str, section: str, title: str, optional: str | None = None
) -> Callable[[Callable[[PublisherStage], None]], Callable[[PublisherStage], None]]:
    """A scenario for publishers."""
    return _adds(name, section, title, ("publisher",), optional)


def _adds(
    name: str,
    section: str,
    title: str,
    roles: tuple[Role, ...],
    optional: str | None,
) -> Callable[[Any], Any]:
    def add(script: Script) -> Script:
        SCENARIOS.append(Scenario(name, title, section, roles, script, optional))
        return script

    return add
