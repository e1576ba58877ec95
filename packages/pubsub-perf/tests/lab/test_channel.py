"""Messages through pipes, and what happens when the other end is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from pubsub_perf.lab import channel, messages
from pubsub_perf.lab.channel import Channel, ChannelEnded
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import MODELS, Load, cases


class _Ends:
    def __init__(self) -> None:
        self.reading, self.far_writing = os.pipe()
        self.far_reading, self.writing = os.pipe()

    def near(self, silence_s: float = 60.0, *, read_ahead: bool = True) -> Channel:
        return Channel(
            self.reading, self.writing, silence_s=silence_s, read_ahead=read_ahead
        )

    def far(self) -> Channel:
        return Channel(self.far_reading, self.far_writing)


@pytest.fixture
def ends() -> Iterator[_Ends]:
    found = _Ends()
    yield found
    for each in (
        found.reading,
        found.writing,
        found.far_reading,
        found.far_writing,
    ):
        with contextlib.suppress(OSError):
            os.close(each)


def test_cases_arrive_as_they_were(ends: _Ends) -> None:
    asked = cases(MODELS, [topologies.tree(2, 3)], Load(delay_ms=1.5, secure=True), 2)
    ends.far().send(messages.RunCells(asked))
    assert ends.near().receive() == messages.RunCells(asked)


def test_beats_are_no_messages(ends: _Ends) -> None:
    far = ends.far()
    far.send(messages.Beat())
    far.send(messages.Step("waiting"))
    assert ends.near().receive() == messages.Step("waiting")


def test_the_end_of_the_pipe_is_told(ends: _Ends) -> None:
    os.close(ends.far_writing)
    with pytest.raises(ChannelEnded, match="closed"):
        ends.near().receive()


def test_silence_is_told(ends: _Ends) -> None:
    with pytest.raises(ChannelEnded, match="nothing heard for 0 s"):
        ends.near(silence_s=0).receive()


def test_an_end_that_waits_beats(ends: _Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "BEAT_S", 0.01)
    with pytest.raises(ChannelEnded):
        ends.near(silence_s=0.1).receive()
    assert os.read(ends.far_reading, 1000).startswith(messages.encode(messages.Beat()))


def test_what_follows_is_left_to_another_process(ends: _Ends) -> None:
    far = ends.far()
    far.send(messages.Choose("mininet"))
    far.send(messages.Check([], 4))
    assert ends.near(read_ahead=False).receive() == messages.Choose("mininet")
    assert ends.near().receive() == messages.Check([], 4)


def test_what_is_no_message_is_refused(ends: _Ends) -> None:
    os.write(ends.far_writing, b"Welcome to lab1!\n")
    with pytest.raises(messages.NotUnderstood, match="Welcome to lab1!"):
        ends.near().receive()
