"""The roles under asyncio: two publishers and a subscriber in one event loop, which has
other things to do as well.
"""

from __future__ import annotations

import asyncio
import threading

from pubsub_broker import Broker
from pubsub_publisher.aio import Publisher
from pubsub_subscriber.aio import Subscriber

READINGS_EACH = 500


def main() -> None:
    # The broker is a program of its own otherwise.
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        try:
            asyncio.run(talk(broker.port))
        finally:
            broker.stop()
            loop.join()


async def talk(port: int) -> None:
    async with Subscriber(
        topics=["wind"], indefinite=True, broker_port=port
    ) as subscriber:
        ticker = asyncio.create_task(tick())
        async with asyncio.TaskGroup() as group:
            for name in ("north", "south"):
                group.create_task(station(name, port))
            seen: dict[str, int] = {}
            async for event in subscriber:
                name = event.payload.decode().split()[0]
                seen[name] = seen.get(name, 0) + 1
                if sum(seen.values()) == 2 * READINGS_EACH:
                    break
        print(", ".join(f"{name}: {count}" for name, count in sorted(seen.items())))
        print("lost:", subscriber.counts().lost)

        # A wait that is given up costs no event: the next call would get it.
        try:
            async with asyncio.timeout(0.05):
                await subscriber.receive()
        except TimeoutError:
            print("nothing more")
        ticker.cancel()


async def station(name: str, port: int) -> None:
    """Publish some readings; then leave."""
    async with Publisher(
        # Rather wait for a slow subscriber than lose events; the loop does not wait.
        topics=["wind"],
        broker_port=port,
        overflow="block",
    ) as publisher:
        await publisher.wait_for_subscribers(1, timeout_s=10)
        for number in range(READINGS_EACH):
            await publisher.publish_event("wind", f"{name} {number}")


async def tick() -> None:
    """What else the program does."""
    while True:
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main()
