"""A broker beside the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

_END_S: Final = 30.0


class RunnableBroker(Protocol):
    """What a broker can do."""

    def configure(self) -> None: ...
    def event_loop(self) -> None: ...
    def stop(self) -> None: ...
    def disconnect(self) -> None: ...


_B = TypeVar("_B", bound=RunnableBroker)


@contextlib.contextmanager
def running_broker(broker: _B) -> Iterator[_B]:
    """Run a broker's loop in a thread. An error that ends the loop is raised at the end."""
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            broker.event_loop()
        except BaseException as error:
            failed.append(error)

    broker.configure()
    thread = threading.Thread(target=serve, name="pubsub-broker", daemon=True)
    thread.start()
    try:
        yield broker
    finally:
        broker.stop()
        thread.join(_END_S)
        broker.disconnect()
    if failed:
        raise failed[0]
