"""The status for programs."""

from __future__ import annotations

import json

from pubsub_broker.monitoring.status_json import status_json
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    BrokerStatus,
    ClientStatus,
    Latency,
    RegistryStatus,
    Status,
)


def test_every_key_is_there_also_with_its_default() -> None:
    client = ClientStatus(role="publisher", session=3, address="h:1", topics=["A"])
    bare = Status(id=1, epoch=2, model="centralized", uptime_s=0.5, clients=[client])

    found = json.loads(status_json(bare))

    assert found["type"] == "status_report"
    assert set(found) == {"type", *Status.__struct_fields__}
    assert (found["expected"], found["registry"], found["forwarded"]) == ([], None, 0)
    (one,) = found["clients"]
    assert set(one) == set(ClientStatus.__struct_fields__)
    assert (one["lost"], one["latency"]) == ({}, None)


def test_it_is_the_message_of_the_broker_otherwise() -> None:
    client = ClientStatus(
        role="subscriber",
        session=3,
        address="h",
        topics=["A"],
        lost={"A": 2},
        latency=Latency(count=1, p50_ns=2, p99_ns=3, max_ns=4),
    )
    whole = Status(
        id=1,
        epoch=2,
        model="decentralized",
        uptime_s=1.0,
        clients=[client],
        brokers=[
            BrokerStatus(address="h:1", broker="b", version="1", clients=1, alive=True)
        ],
        registry=RegistryStatus(group="lab", cut_off=False, cut_off_s=0.0),
    )

    assert messages.decode_reply(status_json(whole).encode()) == whole
