"""Several processes that publish, and one that receives.

A connection belongs to one process, so each process makes its own publisher: here in the
initializer of a pool, once for all its tasks. This works with ``fork`` and with ``spawn``.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.util
import os
import threading

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

publisher: Publisher


def connect(port: int) -> None:
    """The initializer: runs once in each process of the pool."""
    global publisher
    publisher = Publisher(topics=["squares"], broker_port=port)
    publisher.configure()
    # Pools end their processes without `atexit`; this disconnects before that.
    multiprocessing.util.Finalize(None, publisher.disconnect, exitpriority=1)


def square(number: int) -> int:
    """A task of the pool."""
    publisher.publish_json("squares", {"process": os.getpid(), "square": number**2})
    return number


def main() -> None:
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        try:
            talk(broker.port)
        finally:
            broker.stop()
            loop.join()


def talk(port: int) -> None:
    with Subscriber(
        topics=["squares"], max_event_count=10, broker_port=port
    ) as subscriber:
        context = multiprocessing.get_context("spawn")
        with context.Pool(2, connect, (port,)) as pool:
            done = pool.map(square, range(10))
            results = [json.loads(event.payload) for event in subscriber]
            pool.close()
            pool.join()
        print(f"{len(done)} tasks done, by other processes than this one:")
        print(os.getpid() not in {result["process"] for result in results})
        print("received:", sorted(result["square"] for result in results))


if __name__ == "__main__":
    main()
