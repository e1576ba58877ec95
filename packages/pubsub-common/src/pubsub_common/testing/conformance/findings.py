"""What a scenario found: that a client does what it must, or what it did instead."""

from __future__ import annotations

import dataclasses

from pubsub_common.text.printable import cut, printable

# Where the sections of the protocol are, which findings name.
PAGE = "docs/protocol.md"


class Failed(Exception):
    """A client did not do what the page says.

    ``expected`` is what it must do, ``seen`` what it did, ``section`` the anchor of the
    section of the page that says so.
    """

    def __init__(self, expected: str, seen: str, section: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.section = section


class Interrupted(Exception):
    """The tool is to end; nothing was found."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a client in a scenario. ``failure`` is None when it passed; ``record`` has
    a line for each message."""

    scenario: str
    title: str
    failure: Failed | None
    record: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.failure is None

    def line(self) -> str:
        """One line for people and programs."""
        failure = self.failure
        if failure is None:
            return f"pass  {self.scenario}  {self.title}"
        # What a client said of itself may hold anything.
        seen = printable(cut(failure.seen))
        return (
            f"FAIL  {self.scenario}  {self.title}: expected {failure.expected}; "
            f"seen: {seen}; see {PAGE}#{failure.section}"
        )
