"""The messages between a driver and its workers: lines of JSON.

Both ends run the same code (`pubsub_perf.lab.versions`), so messages have no version;
only `Hello` is read from other versions. An end without a message sends a `Beat` every `BEAT_S`, so
that silence means a dead machine or link.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from pubsub_common.errors import PubSubError
from pubsub_perf.plan.cases import Case, Load

# Often enough to detect a dead link soon, and rare enough not to disturb measurements.
BEAT_S: Final = 2.0
# Below the 20 s in which OpenSSH itself gives up; a saturated machine is not dead.
SILENCE_S: Final = 15.0
# The bytes of a cell's files in one line.
PIECE_BYTES: Final = 512 * 1024
# The longest line is a piece in base64, or a block of two networks of 1,000 hosts.
MAX_LINE: Final = 4 * 1024 * 1024


class NotUnderstood(PubSubError):
    """A line is not a message, or has another version."""


class Hello(msgspec.Struct, tag=True):
    """A worker's first message. ``code`` is a digest of our programs; ``mininet`` is the reason
    why Mininet cannot run there, or None."""

    code: str
    versions: dict[str, str]
    machine: dict[str, Any]
    mininet: str | None


class Refused(msgspec.Struct, tag=True):
    """A worker's last message: the reason of a rejection."""

    text: str


class Choose(msgspec.Struct, tag=True):
    """To a worker, first: the kind of hosts for all cells."""

    hosts: Literal["mininet", "local"]


class Check(msgspec.Struct, tag=True):
    """To a worker: the cases of the sweep, so that it rejects impossible ones before the first
    cell. ``most_hosts``: of the largest network."""

    loads: list[Load]
    most_hosts: int


class Ready(msgspec.Struct, tag=True):
    """A worker can do all of it; ``notes`` are for the user."""

    notes: list[str]


class RunCells(msgspec.Struct, tag=True):
    """To a worker: run these, one after the other."""

    cases: list[Case]


class Begun(msgspec.Struct, tag=True):
    """The cell with this index in `RunCells` begins."""

    index: int


class Step(msgspec.Struct, tag=True):
    """The next step of the cell begins."""

    text: str


class Piece(msgspec.Struct, tag=True):
    """The next bytes of an archive of a cell's files."""

    data: bytes


class Ended(msgspec.Struct, tag=True):
    """The cell with this index has ended, and its archive is whole."""

    index: int


class AllEnded(msgspec.Struct, tag=True):
    """All cells of `RunCells` have ended."""


class Beat(msgspec.Struct, tag=True):
    """Nothing to say."""


FromWorker = Hello | Refused | Ready | Begun | Step | Piece | Ended | AllEnded | Beat
ToWorker = Choose | Check | RunCells | Beat
Message = FromWorker | ToWorker

_DECODER: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Raises:
    NotUnderstood: the line is not a message.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        begin = line[:80].decode(errors="replace").strip()
        raise NotUnderstood(f"{begin!r} is not a valid message ({error})") from error
