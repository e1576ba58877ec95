"""Hints about topics that nobody else has: they may be misspelled.

The broker's status has the topics of all clients. A secure broker gives it only to clients with
that right, and logs the others: it is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common.errors import PubSubError
from pubsub_common.protocol.matching import matching_topics
from pubsub_common.text.name_list import name_list

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Role

# A hint is worth a short wait.
_WAIT_S: Final = 0.5
# How many topics are named where none is similar.
_NAMED: Final = 5


def topics_at(
    brokers: Sequence[tuple[str, int]], address: str, role: Role
) -> tuple[str, ...] | None:
    """The topics of all clients with this role.

    Args:
        brokers: hosts and ports.
        address: the host to ask, one of these.

    Returns:
        Topics without repetitions, in order; None: the broker does not answer, or has more
        clients than fit on one page of its status.
    """
    from pubsub_common.client.status_client import ask
    from pubsub_common.net.addresses import resolve

    host, port = next((each for each in brokers if each[0] == address), brokers[0])
    try:
        status = ask(resolve(host), port, _WAIT_S, whole=False)
    except PubSubError:
        return None
    if status.next_session is not None:
        return None
    clients = [client for client in status.clients if client.role == role]
    return tuple(sorted({topic for client in clients for topic in client.topics}))


def no_publisher(subscriptions: Sequence[str], published: Sequence[str]) -> str | None:
    """A hint about subscriptions that match no topic of ``published``; None: all do."""
    missing = [each for each in subscriptions if not matching_topics(published, [each])]
    if not missing:
        return None
    if not published:
        return "no publisher is connected"
    text = f"no publisher of {name_list(missing)} is connected; "
    if similar := did_you_mean(missing, published):
        return text + similar
    more = len(published) - _NAMED
    others = f" and {more} more" if more > 0 else ""
    return f"{text}topics with publishers: {name_list(published[:_NAMED])}{others}"


def did_you_mean(names: Iterable[str], known: Sequence[str]) -> str | None:
    """A question about the ``known`` topics that are similar to ``names``; None: none is."""
    from difflib import get_close_matches

    lower = {each.lower(): each for each in known}
    found: dict[str, None] = {}
    for name in names:
        for near in get_close_matches(name.lower(), lower, 1):
            if lower[near] != name:
                found[lower[near]] = None
    return f"did you mean {name_list(list(found))}?" if found else None
