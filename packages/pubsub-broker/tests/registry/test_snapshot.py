"""Snapshots as bytes: they can be decoded again, and no other bytes can."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.registry import snapshot as snapshot_module
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.snapshot import (
    Snapshot,
    SnapshotClient,
    SnapshotError,
    decode_snapshot,
    encode_snapshot,
    snapshot_of,
)

CLIENTS = st.builds(
    SnapshotClient,
    role=st.sampled_from(["publisher", "subscriber"]),
    session=st.integers(0, 2**53 - 1),
    address=st.text(max_size=20),
    topics=st.lists(st.text(max_size=5), max_size=4),
    idle_s=st.floats(0, 1e9),
)
SNAPSHOTS = st.builds(
    Snapshot,
    written_ns=st.integers(0, 2**62 - 1),
    clients=st.lists(CLIENTS, max_size=4),
)
GOOD = encode_snapshot(
    Snapshot(
        written_ns=1,
        clients=[
            SnapshotClient(
                role="publisher", session=5, address="10.0.0.1:5556", topics=["A"]
            )
        ],
    )
)


@given(SNAPSHOTS)
def test_what_was_written_is_read(snapshot: Snapshot) -> None:
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


@pytest.mark.parametrize("length", range(len(GOOD) - 1))
def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(SnapshotError):
        decode_snapshot(GOOD[:length])


@given(st.integers(0, len(GOOD) - 2), st.integers(1, 255))
def test_a_byte_that_was_changed_is_noticed(place: int, flip: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= flip
    try:
        found = decode_snapshot(bytes(data))
    except SnapshotError:
        return
    # White space between the parts, or the case of a digit, may differ.
    assert found == decode_snapshot(GOOD)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        decode_snapshot(data)


def test_a_wrong_checksum_is_named() -> None:
    with pytest.raises(SnapshotError, match="checksum"):
        decode_snapshot(GOOD.replace(b"10.0.0.1", b"10.0.0.2"))


def test_another_version_is_named() -> None:
    data = json.loads(GOOD)
    data["version"] = 7

    with pytest.raises(SnapshotError, match="version 7"):
        decode_snapshot(json.dumps(data).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"[" * 100_000, b'{"format":"something else"}', b"null"]
)
def test_a_foreign_file_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="not a broker state file"):
        decode_snapshot(data)


def test_beyond_some_megabytes_of_topics_only_the_first_of_each_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot_module, "MAX_TOPIC_CHARACTERS", 100)
    clients = [
        Client(
            session=number,
            role="subscriber",
            address="10.0.0.2",
            topics=tuple(f"topic/{each}" for each in range(10)),
            clock="realtime",
        )
        for number in range(3)
    ]

    made = snapshot_of(clients, [], 0)

    assert [len(client.topics) for client in made.clients] == [10, 1, 1]
    assert decode_snapshot(encode_snapshot(made)) == made
