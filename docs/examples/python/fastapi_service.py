"""A web service that publishes what it is sent, and shows the last event of a topic.

The publisher and the subscriber live as long as the application: its lifespan connects and
disconnects them. With several workers (``uvicorn --workers``) each has its own. Needs
``pip install fastapi httpx``; run the service alone with ``uvicorn fastapi_service:app``.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from pubsub_broker import Broker
from pubsub_publisher.aio import Publisher
from pubsub_subscriber.aio import Subscriber


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    broker = os.environ.get("BROKER", "127.0.0.1")
    async with (
        Subscriber(broker_address=broker, topics=["sensors/#"]) as subscriber,
        Publisher(broker_address=broker) as publisher,
    ):
        app.state.publisher, app.state.latest = publisher, {}
        receiver = asyncio.create_task(receive(subscriber, app.state.latest))
        yield
        subscriber.stop()
        await receiver


async def receive(subscriber: Subscriber, latest: dict[str, str]) -> None:
    async for event in subscriber:
        latest[event.topic] = event.payload.decode(errors="replace")


app = FastAPI(lifespan=lifespan)


@app.post("/sensors/{name}", status_code=202)
async def publish(name: str, value: float) -> None:
    await app.state.publisher.publish_event(f"sensors/{name}", f"{value}")


@app.get("/sensors/{name}")
async def last(name: str) -> str:
    if (value := app.state.latest.get(f"sensors/{name}")) is None:
        raise HTTPException(404, f"no event of sensors/{name} so far")
    return str(value)


def main() -> None:
    """Run the service, and use it as a client would."""
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        os.environ["BROKER"] = f"127.0.0.1:{broker.port}"
        try:
            with TestClient(app) as client:
                print(client.get("/sensors/hill").json())
                print(client.post("/sensors/hill?value=7.25").status_code)
                while (reply := client.get("/sensors/hill")).status_code == 404:
                    pass  # the event is on its way
                print(reply.json())
        finally:
            broker.stop()
            loop.join()


if __name__ == "__main__":
    main()
