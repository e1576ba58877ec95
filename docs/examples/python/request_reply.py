"""A request that expects an answer: `ask` publishes it, `serve` publishes the result.

All requesters receive all replies and pick theirs by its id. Where there are many of them, let
each request name a reply topic of its own: `publish_event` adds a topic that is new.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


def serve(requests: Subscriber, replies: Publisher) -> None:
    for event in requests:
        request = json.loads(event.payload)
        replies.publish_json("squares", {**request, "square": request["number"] ** 2})


def ask(number: int, requests: Publisher, replies: Subscriber) -> Any:
    request_id = uuid.uuid4().hex
    requests.wait_for_subscribers(1, timeout_s=10)
    requests.publish_json("numbers", {"id": request_id, "number": number})
    while event := replies.receive(timeout_s=10):
        if (reply := json.loads(event.payload))["id"] == request_id:
            return reply["square"]
    raise TimeoutError(f"no reply to {number}")


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
    # Two programs in a real system: the first two lines and `serve`, the others and `ask`.
    with (
        Subscriber(topics=["numbers"], broker_port=port) as numbers,
        Publisher(topics=["squares"], broker_port=port) as results,
        Subscriber(topics=["squares"], broker_port=port) as replies,
        Publisher(topics=["numbers"], broker_port=port) as requests,
    ):
        server = threading.Thread(target=serve, args=(numbers, results))
        server.start()
        for number in (3, 4):
            print(f"{number} squared is {ask(number, requests, replies)}")
        numbers.stop()
        server.join()


if __name__ == "__main__":
    main()
