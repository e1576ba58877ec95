"""Where events come from, and how they are published."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pubsub_common.errors import ConfigError, PubSubError, RegistrationRefused
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.input import sources
from pubsub_publisher.input.publish_input import publish_source
from pubsub_publisher.publisher import Publisher


def never() -> bool:
    return False


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    yield read_fd, write_fd
    os.close(read_fd)


# Sources


def test_lines_come_as_they_are_written(pipe: tuple[int, int]) -> None:
    read_fd, write_fd = pipe
    records = sources.records(read_fd, b"\n", never, QueueBounds())

    os.write(write_fd, b"first\nsec")
    assert next(records) == [b"first"]
    os.write(write_fd, b"ond\n\nthird\nlast")
    assert next(records) == [b"second", b"", b"third"]
    os.close(write_fd)
    assert list(records) == [[b"last"]]


def test_a_line_may_be_larger_than_a_pipe(pipe: tuple[int, int]) -> None:
    read_fd, write_fd = pipe
    line = os.urandom(1 << 20).replace(b"\n", b" ")

    def write() -> None:
        with os.fdopen(write_fd, "wb") as file:
            file.write(line + b"\nend")

    thread = threading.Thread(target=write)
    thread.start()
    assert list(sources.records(read_fd, b"\n", never, QueueBounds())) == [
        [line],
        [b"end"],
    ]
    thread.join()


@pytest.mark.parametrize("blocking", [True, False])
def test_a_stop_ends_a_wait_for_lines_and_half_a_line_is_none(
    pipe: tuple[int, int], blocking: bool
) -> None:
    read_fd, write_fd = pipe
    os.set_blocking(read_fd, blocking)
    stopped = threading.Event()
    records = sources.records(read_fd, b"\n", stopped.is_set, QueueBounds())
    os.write(write_fd, b"first\nhalf")
    assert next(records) == [b"first"]

    threading.Timer(0.01, stopped.set).start()

    assert list(records) == []
    os.close(write_fd)


def test_a_file_is_one_event_byte_by_byte(tmp_path: Path) -> None:
    contents = [bytes(range(256)) * 3, b"", b"\n\0" * 300_000]
    paths = []
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
        paths.append(str(tmp_path / f"{number}"))

    sources.check_files(paths)
    assert list(sources.files(paths, never, QueueBounds())) == [
        [content] for content in contents
    ]


def test_a_stop_ends_a_file_that_never_does(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    stopped = threading.Event()
    threading.Timer(0.01, stopped.set).start()
    fd = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        assert (
            list(sources.files([str(tmp_path / "pipe")], stopped.is_set, QueueBounds()))
            == []
        )
    finally:
        os.close(fd)


def test_files_that_cannot_be_read_are_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: it is a folder"):
        sources.check_files([str(tmp_path)])
    with pytest.raises(ConfigError, match=r"cannot read .*none: there is no such file"):
        sources.check_files([str(tmp_path / "none")])


@pytest.mark.parametrize("count", [1, 999, 1000, 2500])
def test_a_text_comes_as_often_as_it_is_asked_for(count: int) -> None:
    payloads = list(itertools.chain(*sources.literals([b"x"], count)))

    assert payloads == [b"x"] * count


# Publishing them


class Recorded:
    """What `publish_source` does with a publisher."""

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.stopped = False
        self.calls: list[tuple[str, Any]] = []
        self.before: Callable[[], None] = lambda: None

    def publish_event(self, topic: str, payload: bytes) -> None:
        self.before()
        self.calls.append((topic, payload))

    def publish_events(self, payloads: list[bytes], topic: str) -> None:
        self.before()
        self.calls.append((topic, payloads))


def publish(recorded: Recorded, *source: list[bytes], **options: Any) -> int:
    return publish_source(cast(Publisher, recorded), source, **options)


def test_what_comes_alone_goes_alone_and_the_rest_in_batches_to_every_topic() -> None:
    recorded = Recorded("A", "B")

    assert publish(recorded, [b"1"], [b"2", b"3"]) == 3
    assert recorded.calls == [
        ("A", b"1"),
        ("B", b"1"),
        ("A", [b"2", b"3"]),
        ("B", [b"2", b"3"]),
    ]


def test_a_limit_ends_it_and_no_more_is_read() -> None:
    recorded = Recorded("A")

    def source() -> Iterator[list[bytes]]:
        yield [b"1", b"2"]
        yield [b"3", b"4"]
        raise AssertionError("there is no need to wait for more")

    assert publish_source(cast(Publisher, recorded), source(), limit=3) == 3
    assert recorded.calls == [("A", [b"1", b"2"]), ("A", b"3")]


def test_a_stop_ends_it() -> None:
    recorded = Recorded("A")
    recorded.before = lambda: setattr(recorded, "stopped", True)

    assert publish(recorded, [b"1"], [b"2"]) == 1


def test_a_rate_sends_everything_in_order() -> None:
    recorded = Recorded("A")
    payloads = [b"%d" % number for number in range(1000)]

    assert publish(recorded, payloads[:600], payloads[600:], rate=100_000) == 1000
    sent: list[bytes] = []
    for _, what in recorded.calls:
        sent += [what] if isinstance(what, bytes) else what
    assert sent == payloads


def test_stopping_a_publisher_that_waits_for_room_is_not_an_error() -> None:
    recorded = Recorded("A")

    def stopped() -> None:
        recorded.stopped = True
        raise PubSubError("this publisher was stopped before the event could leave")

    recorded.before = stopped
    assert publish(recorded, [b"1"]) == 0


@pytest.mark.parametrize("error", [PubSubError("x"), RegistrationRefused("x", "y")])
def test_other_errors_are(error: PubSubError) -> None:
    recorded = Recorded("A")

    def fail() -> None:
        recorded.stopped = isinstance(error, RegistrationRefused)
        raise error

    recorded.before = fail
    with pytest.raises(type(error)):
        publish(recorded, [b"1"])


def test_a_literal_without_a_count_has_no_end() -> None:
    endless = itertools.chain.from_iterable(sources.literals([b"x"], None))

    assert list(itertools.islice(endless, 5_000)) == [b"x"] * 5_000
