"""How much may wait in the queues of a role's event sockets, and how large a payload may be."""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES

# Frames of at least so many bytes are counted; as many smaller ones as may wait are few bytes.
COUNTED_BYTES: Final = 4096
# A frame holds more than one payload: topic and numbers, or the events of a batch
# (64 KiB of payload, and numbers) before a large one.
_BESIDE_PAYLOAD: Final = 131_072
# What a message that is received counts for, whatever its size: few are larger, and as many
# small ones as fit into the default limit hide a pause of the receiver.
_RECEIVED_BYTES: Final = 262_144
# As many of these queues of small messages, of a hundred bytes, as the kernel may hold besides
# (`tcp_rmem` is 6 MiB mostly), when there are 256 messages in one.
_KERNEL_QUEUES: Final = 256


@dataclasses.dataclass(frozen=True, slots=True)
class QueueBounds:
    """``messages`` and ``bytes_each`` bound the queue of one connection, ``bytes_total`` those of
    all connections together. ``payload_bytes`` is the largest payload that is sent or
    received."""

    messages: int = defaults.QUEUE_LIMIT
    bytes_each: int = defaults.QUEUE_BYTES
    bytes_total: int = defaults.QUEUE_TOTAL_BYTES
    payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES

    @property
    def frame_bytes(self) -> int:
        """The longest frame that can come. Answers to recovery requests and batches are
        received whatever the limit on a payload is."""
        return max(self.payload_bytes, REPLY_MAX_BYTES) + _BESIDE_PAYLOAD

    @property
    def received_messages(self) -> int:
        """How many messages a connection that is received from holds ready. The others wait
        at its other side, where they are counted by bytes."""
        return min(self.messages, max(1, self.bytes_each // _RECEIVED_BYTES))

    @property
    def held_messages(self) -> int:
        """How many messages such a connection may hold, about, with those that the kernel
        has: of small ones as many as some queues."""
        return _KERNEL_QUEUES * self.received_messages

    @property
    def look_bytes(self) -> int:
        """After how many bytes it is time to look at what waits."""
        return max(1, min(self.bytes_each, self.bytes_total) // 8)

    def check_payload(self, size: int) -> None:
        """Raises:
        ConfigError: a payload of ``size`` bytes is larger than the limit.
        """
        if size > self.payload_bytes:
            raise ConfigError(
                f"a payload of {size} bytes is too large: max_payload_bytes "
                f"(--max-payload) is {self.payload_bytes}"
            )


def validate_bounds(queue_bytes: int, queue_total: int, max_payload_bytes: int) -> None:
    """Raises:
    ConfigError: an option of these names cannot work.
    """
    validation.at_least("queue_bytes", queue_bytes)
    validation.at_least("queue_total", queue_total)
    most = defaults.MAX_PAYLOAD_BYTES
    validation.in_range("max_payload_bytes", max_payload_bytes, 1, most)


# The longest frame that any option allows.
MAX_FRAME_BYTES: Final = QueueBounds(
    payload_bytes=defaults.MAX_PAYLOAD_BYTES
).frame_bytes
