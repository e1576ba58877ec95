"""Changes connections and subscriptions for the core."""

from __future__ import annotations

from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.streams.effects import (
    Connect,
    Disconnect,
    Listen,
    Request,
    Subscribe,
    Unsubscribe,
    Withdraw,
)

Change = Request | Withdraw | Connect | Disconnect | Subscribe | Unsubscribe | Listen


def change(connections: Connections, effect: Change) -> bool:
    """Perform one effect. Returns whether events may have arrived meanwhile."""
    match effect:
        case Request(publisher, topic, raw) | Withdraw(publisher, topic, raw):
            sub_socket = connections.socket_for(publisher, topic)
            # Without a connection the request is repeated later.
            return sub_socket is not None and sub_socket.change_subscription(
                raw, begins=isinstance(effect, Request)
            )
        case Connect(info):
            return connections.connect(info)
        case Disconnect(info, in_use):
            return connections.disconnect(info, address_in_use=in_use)
        case Subscribe(topics):
            connections.subscribe(topics)
        case Unsubscribe(topic):
            return connections.unsubscribe(topic)
        case Listen(ports, topic_count):
            connections.listen(ports, topic_count)
    return False
