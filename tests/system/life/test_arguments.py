"""Each argument of each constructor, with invalid values: a ConfigError that names the
argument, at construction; nothing is opened."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pubsub_broker
import pubsub_publisher
import pubsub_publisher.aio
import pubsub_subscriber
import pubsub_subscriber.aio
from pubsub_common.errors import ConfigError

CLASSES: dict[str, Callable[..., Any]] = {
    "Publisher": pubsub_publisher.Publisher,
    "aio.Publisher": pubsub_publisher.aio.Publisher,
    "Subscriber": pubsub_subscriber.Subscriber,
    "aio.Subscriber": pubsub_subscriber.aio.Subscriber,
    "Broker": pubsub_broker.Broker,
}
NAN, INFINITY = float("nan"), float("inf")

FLAG: list[Any] = [1, 0, "yes", None, "", b"x", []]
COUNT: list[Any] = [0, -1, "5", 1.5, True, b"5", [], NAN]
NUMBER: list[Any] = [*COUNT, None]
SECONDS: list[Any] = ["5", None, -1, NAN, True, b"5", [], -0.001]
TEXT: list[Any] = [5, b"x", ["x"], True, {}]
CALLBACK: list[Any] = [5, "print", b"x", [], True]

# The invalid values of each argument; for an argument of several classes, the same.
WRONG: dict[str, list[Any]] = {
    "broker_address": [
        *(5, b"x", True, {}, [], [5], [""]),
        None,
        "",
        "256.1.1.1",
        "::",
        "1::2::3",
        "[::1",
        "::1%lo",
        "a b",
        "host:port",
        "h:0",
    ],
    "topics": ["news", b"news", 5, None, [1], [None], [b"a"], [""], ["a", ""]],
    "declared_only": FLAG,
    "indefinite": FLAG,
    "max_event_count": COUNT,
    "sleep_period": [*SECONDS, INFINITY],
    "bind_port": [*(v for v in NUMBER if v != 0), 65536, "5556"],
    "broker_port": [0, -1, "5", 1.5, True, b"5", [], NAN, 65536],
    "address": [*TEXT, "256.1.1.1", "::", "1::2::3", "[::1", "::1%lo", "a b"],
    "clock": [*TEXT, None, "", "wall"],
    "connect_timeout_s": SECONDS,
    "attach_timeout_s": SECONDS,
    "overflow": [*TEXT, None, "", "wait"],
    "queue_limit": [*COUNT, 2**31],
    "queue_bytes": NUMBER,
    "queue_total": NUMBER,
    "max_payload_bytes": [*NUMBER, 2**31],
    "payload_bytes": [v for v in NUMBER if v != 0] + [2**31],
    "linger_s": [*SECONDS, INFINITY],
    "on_sent": CALLBACK,
    "history": [v for v in NUMBER if v != 0] + [10**12],
    "history_bytes": NUMBER,
    "history_total": NUMBER,
    "strengths": ["5", 1.5, b"5", {"a": "5"}, {"a": 1.5}, {"a": None}, [5]],
    "keys": [5, b"x", ["x"], True, {}],
    "filename": [5, b"x", ["x"], True, {}, "/nowhere/at/all"],
    "centralized": [1, 0, "yes", "", b"x", []],
    "on_event": CALLBACK,
    "on_gap": CALLBACK,
    "on_publisher": CALLBACK,
    "recover": FLAG,
    "safe_csv": FLAG,
    "start": [*TEXT, None, "", "end"],
    "recover_bytes": NUMBER,
    "recover_timeout_s": [*SECONDS, 0, INFINITY],
    "bind": [*TEXT, "256.1.1.1", "1::2::3", "[::1", "::1%lo", "a b"],
    "advertise": [*TEXT, "256.1.1.1", "::", "1::2::3", "[::1", "::1%lo", "a b"],
    "forward_port": [0, -1, 1.5, True, b"5", [], NAN, 65536, "5-", "6-5", "a"],
    "name": [*TEXT, "a b", "x" * 65, "a\n"],
    "shared_memory": [*TEXT, None, "", "yes"],
    "views": FLAG,
    "arrivals": [*TEXT, None, "", "random"],
    "arrivals_seed": ["5", 1.5, True, b"5", [], NAN],
    "port": [*(v for v in NUMBER if v != 0), 65536],
    "lease_s": [*SECONDS, 0, INFINITY],
    "owner_idle_s": [*(v for v in SECONDS if v is not None), 0, INFINITY],
    "forwarders": NUMBER,
    "max_clients": COUNT,
    "max_clients_per_address": COUNT,
    "max_registrations_per_second": [0, -1, "5", None, True, NAN, INFINITY, []],
    "max_topics_per_client": [*NUMBER, 10**6],
    "allow_foreign_addresses": FLAG,
    "state": [5, b"x", ["x"], True, {}],
    "secure": [5, b"x", ["x"], True, {}],
    # Each alone, without the arguments that it requires.
    "registry": [*TEXT, "10.0.0.1", "etcd://", "etcd://a,a", "etcd://10.0.0.1"],
    "group": [*TEXT, "a/b", "lab"],
    "registry_tls": [5, b"x", ["x"], True, {}, "/etc"],
    "registry_login": [5, b"x", ["x"], True, {}, "/etc/passwd"],
}


def arguments(name: str) -> list[str]:
    return [a for a in inspect.signature(CLASSES[name]).parameters if a != "self"]


@pytest.mark.parametrize("name", CLASSES)
def test_all_arguments_are_tried(name: str) -> None:
    assert set(arguments(name)) <= set(WRONG)


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, argument) for name in CLASSES for argument in arguments(name)],
)
def test_what_cannot_work_is_refused_by_name(
    name: str, argument: str, tmp_path: Path
) -> None:
    base: dict[str, Any] = {} if name == "Broker" else {"topics": ["a"]}
    if argument != "filename":
        CLASSES[name](**base)  # else it is fine
    taken: list[object] = []
    unnamed: list[str] = []
    for value in WRONG[argument]:
        try:
            CLASSES[name](**base | {argument: value})
        except ConfigError as error:
            # The error may quote an invalid text.
            named = argument.partition("_")[0].removesuffix("s") in str(error)
            if not named and not (isinstance(value, str) and value in str(error)):
                unnamed.append(f"{value!r}: {error}")
        except Exception as error:
            unnamed.append(f"{value!r}: {error!r}")
        else:
            taken.append(value)
    assert taken == [], f"{name}({argument}=…) takes {taken}"
    assert unnamed == []
