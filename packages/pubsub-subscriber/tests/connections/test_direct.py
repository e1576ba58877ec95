"""A socket for each publisher, and publishers for which there is none."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable, Iterator

import pytest
import zmq

from pubsub_common.net.sockets import new_context
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.security.keys import new_key_pair
from pubsub_subscriber.connections.direct import SeparateWays, allow_files
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import Inlet

KEY = new_key_pair().public


def info(session: int) -> PublisherInfo:
    address = f"127.0.0.1:{session}"
    return PublisherInfo(session=session, topics=["A"], address=address, key=KEY)


class Bench:
    """Ways in a context that has room for two sockets more than it has now: not for one
    publisher, which takes three."""

    def __init__(self) -> None:
        self.sockets = SocketSet(lambda: None)
        self.left: set[int] = set()
        self._context = new_context(2)
        self.ways = SeparateWays(
            self.sockets, self._new_inlet, new_key_pair(), self.left.__contains__
        )

    def _new_inlet(self, topics: Iterable[str]) -> Inlet:
        return Inlet(self._context, topics, 5, 10)

    def make_room(self) -> None:
        """As if another program had ended."""
        self.close()
        self._context = new_context()

    def close(self) -> None:
        self.sockets.close_all()
        self.sockets.retired.clear()
        self._context.term()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_who_cannot_have_a_socket_is_heard_when_there_is_one(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for session in (1, 2):
        bench.ways.join(info(session))
    assert bench.ways.look() is not None  # it looks again
    assert bench.ways.inlet(1, "A") is None
    assert not bench.sockets.open

    bench.make_room()
    bench.ways.look()

    assert bench.ways.inlet(1, "A") is not None
    assert bench.ways.inlet(2, "A") is not None
    assert len(bench.sockets.open) == 2
    assert len(caplog.messages) == 1


def test_who_has_left_before_there_was_one_is_not_connected_to(bench: Bench) -> None:
    for session in (1, 2):
        bench.ways.join(info(session))
    bench.left.add(1)
    bench.ways.leave(info(2), address_in_use=False)

    bench.make_room()

    assert bench.ways.look() is None
    assert not bench.sockets.open


def test_other_errors_are_not_passed_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_topics: Iterable[str]) -> Inlet:
        raise zmq.ZMQError(errno.EFAULT)

    monkeypatch.setattr(bench.ways, "_new_inlet", broken)

    with pytest.raises(zmq.ZMQError):
        bench.ways.join(info(1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 1_048_576), (16_384, 1_048_576)),
        ((1024, 4096), (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), (16_384, resource.RLIM_INFINITY)),
        ((20_000, 1_048_576), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_as_many_files_are_allowed_as_may_be(
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[int, int],
    after: tuple[int, int] | None,
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, them: asked.append(them))

    allow_files()

    assert asked == ([] if after is None else [after])
