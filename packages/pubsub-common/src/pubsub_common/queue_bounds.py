"""Limits of the queues of a role's event sockets, and of payloads."""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES

# Frames of at least so many bytes are counted; a full queue of smaller ones has few bytes.
COUNTED_BYTES: Final = 4096
# A frame holds more than a payload: topic and numbers. So does a batch: 256 KiB of payloads, with
# any limit.
_BESIDE_PAYLOAD: Final = 131_072
# Bytes for which each received message counts, with any size: few are larger, and the small ones
# that fit into the default limit cover a pause of the receiver.
_RECEIVED_BYTES: Final = 262_144
# Number of queues of small messages (a hundred bytes, 256 messages each) that the kernel may hold
# in addition (`tcp_rmem` is usually 6 MiB).
_KERNEL_QUEUES: Final = 256


@dataclasses.dataclass(frozen=True, slots=True)
class QueueBounds:
    """``messages`` and ``bytes_each`` limit the queue of one connection, ``bytes_total`` the
    queues of all connections together. ``payload_bytes`` is the largest payload that is
    sent or received."""

    messages: int = defaults.QUEUE_LIMIT
    bytes_each: int = defaults.QUEUE_BYTES
    bytes_total: int = defaults.QUEUE_TOTAL_BYTES
    payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES

    @property
    def frame_bytes(self) -> int:
        """The longest possible frame. Replies to recovery requests and batches are received
        with any limit on payloads."""
        return max(self.payload_bytes, REPLY_MAX_BYTES) + _BESIDE_PAYLOAD

    @property
    def received_messages(self) -> int:
        """Messages that a receiving connection stores. The others wait at the other side,
        where their bytes are counted."""
        return min(self.messages, max(1, self.bytes_each // _RECEIVED_BYTES))

    @property
    def held_messages(self) -> int:
        """Approximate number of messages that one receiving connection may hold, with those in the
        kernel: for small messages the size of some queues."""
        return _KERNEL_QUEUES * self.received_messages

    @property
    def look_bytes(self) -> int:
        """Number of bytes after which the queues are checked."""
        return max(1, min(self.bytes_each, self.bytes_total) // 8)

    def check_payload(self, size: int) -> None:
        """Raises:
        ConfigError: A payload of ``size`` bytes is larger than the limit.
        """
        if size > self.payload_bytes:
            raise ConfigError(
                f"a payload of {size} bytes is too large: max_payload_bytes "
                f"(--max-payload) is {self.payload_bytes}"
            )


def validate_bounds(queue_bytes: int, queue_total: int, max_payload_bytes: int) -> None:
    """Raises:
    ConfigError: An option of these names is not valid.
    """
    validation.at_least("queue_bytes", queue_bytes)
    validation.at_least("queue_total", queue_total)
    most = defaults.MAX_PAYLOAD_BYTES
    validation.in_range("max_payload_bytes", max_payload_bytes, 1, most)


# The longest frame that any option allows.
MAX_FRAME_BYTES: Final = QueueBounds(
    payload_bytes=defaults.MAX_PAYLOAD_BYTES
).frame_bytes
