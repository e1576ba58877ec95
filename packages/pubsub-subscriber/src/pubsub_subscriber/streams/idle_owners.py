"""Skips owners that send nothing while others do, after a time that the broker sets.

An owner is silent from the first event of another publisher on, until its own stream
advances. A skipped owner owns the topic again with its next event.
"""

from __future__ import annotations

from pubsub_subscriber.streams.trackers import Key


class IdleOwners:
    """``timeout_s`` is how long an owner may be silent; None: without a limit. Times are
    seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.timeout_s: float | None = None
        # By topic: the owner, the position of its stream, and since when.
        self._watched: dict[str, tuple[int, int, float]] = {}
        self._given_up: dict[str, set[int]] = {}

    def is_given_up(self, key: Key) -> bool:
        """Whether this publisher must not own this topic."""
        session, topic = key
        return session in self._given_up.get(topic, ())

    def gives_up(self, topic: str, owner: int, expected: int, now: float) -> bool:
        """Another publisher has sent an event of ``topic``, while the next number of its
        ``owner`` is ``expected``. Returns whether the owner is skipped now."""
        if self.timeout_s is None:
            return False
        watched = self._watched.get(topic)
        if watched is None or watched[:2] != (owner, expected):
            self._watched[topic] = (owner, expected, now)
            return False
        if now - watched[2] < self.timeout_s:
            return False
        del self._watched[topic]
        self._given_up.setdefault(topic, set()).add(owner)
        return True

    def returns(self, key: Key) -> bool:
        """A publisher has sent something, or has left. Returns whether it was skipped."""
        session, topic = key
        sessions = self._given_up.get(topic)
        if sessions is None or session not in sessions:
            return False
        sessions.discard(session)
        if not sessions:
            del self._given_up[topic]
        return True

    def forget(self, topic: str) -> None:
        """The topic has no publishers any more."""
        self._watched.pop(topic, None)
        self._given_up.pop(topic, None)
