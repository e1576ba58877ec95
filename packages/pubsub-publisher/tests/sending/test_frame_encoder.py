"""A frame in pieces is the frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.shared_memory.samples import HEADER_BYTES, slot_bytes
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.frame_encoder import FrameEncoder
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import BATCH_BYTES, BATCH_EVENTS, TopicState

SIZES = st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 100_000])
EVENTS = st.lists(st.tuples(st.integers(0, 2**62), SIZES), min_size=1, max_size=40)


def encoder(topic: TopicState) -> FrameEncoder:
    core = PublisherCore({topic.name: topic})
    core.address, core.session = "127.0.0.1:65535", 2**52
    return FrameEncoder(core, QueueBounds(100))


@given(st.integers(0, 2**52), EVENTS)
def test_the_pieces_are_the_frame(first: int, sizes: list[tuple[int, int]]) -> None:
    topic = TopicState("A/b")
    events = [(stamp_ns, bytes(size)) for stamp_ns, size in sizes]
    pieces = encoder(topic).pieces(topic, first, events)
    assert b"".join(pieces) == encoder(topic).encode(topic, first, events)


def test_a_batch_fits_into_a_sample_with_the_longest_topic() -> None:
    topic = TopicState("t" * 255)
    for size in (0, 1024, 16_384, 65_536):
        count = min(BATCH_EVENTS, BATCH_BYTES // max(1, size))
        events: list[Stamped] = [
            (2**62 * (number % 2), bytes(size)) for number in range(count)
        ]
        pieces = encoder(topic).pieces(topic, 2**52, events)
        frame_bytes = HEADER_BYTES + sum(map(len, pieces))
        assert frame_bytes <= slot_bytes(BATCH_BYTES)
