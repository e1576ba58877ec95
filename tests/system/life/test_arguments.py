"""Each argument of each constructor, and each number that a method takes, with invalid values: a
ConfigError that names the argument. A constructor opens nothing."""

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

from .conftest import Life

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


TIMEOUT: list[Any] = [NAN, "5", b"5", [], 10**400]
# The invalid numbers of each argument of a method.
WRONG_IN_CALLS: dict[str, dict[str, list[Any]]] = {
    "receive": {"timeout_s": TIMEOUT},
    "wait_until_ready": {"timeout_s": TIMEOUT},
    "wait_for_subscribers": {
        "count": [NAN, INFINITY, -1, "1", 1.5, True, b"1", [], None],
        "timeout_s": TIMEOUT,
    },
    "publish": {"start_ns": [NAN, INFINITY, "1", 1.5, True, b"1", []]},
    "generate_publish_event": {"iteration": [NAN, INFINITY, "1", 1.5, True, None]},
    "add_topics": {"strengths": [NAN, "5", 1.5, {"c": NAN}, {"c": "5"}]},
}
# Their numbers are for the log, or not used.
_NOT_READ = {"parse_events", "notify_subscribers", "setup_notification_polling"}


@pytest.mark.parametrize("name", CLASSES)
def test_all_numbers_in_calls_are_tried(name: str) -> None:
    numbers = {
        method: {
            argument
            for argument, parameter in inspect.signature(function).parameters.items()
            if {"int", "float"} & set(str(parameter.annotation).split())
        }
        for method, function in inspect.getmembers(CLASSES[name], callable)
        if not method.startswith("_") and method not in _NOT_READ
    }
    for method, arguments in numbers.items():
        assert arguments <= set(WRONG_IN_CALLS.get(method, ())), method


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        (method, argument)
        for method, each in WRONG_IN_CALLS.items()
        for argument in each
    ],
)
def test_a_call_with_what_is_no_number_is_refused_at_once(
    life: Life, method: str, argument: str
) -> None:
    publisher, subscriber = life.both()
    one = subscriber if hasattr(subscriber, method) else publisher
    first = {"topics": ["c"]} if method == "add_topics" else {}
    for value in WRONG_IN_CALLS[method][argument]:
        with pytest.raises(ConfigError, match=argument.removesuffix("s")) as refusal:
            getattr(one, method)(**first, **{argument: value})
        assert "\n" not in str(refusal.value)


def test_a_timeout_without_end_and_one_that_is_over_are_numbers(life: Life) -> None:
    publisher, subscriber = life.both()
    for timeout_s in (INFINITY, 1e300, 10**20, 5, None):
        subscriber.wait_until_ready(timeout_s)
        publisher.wait_for_subscribers(1, timeout_s)
        publisher.publish_event("a", b"x")
        assert subscriber.receive(timeout_s).payload == b"x"
    for timeout_s in (0, -1, -INFINITY):
        assert subscriber.receive(timeout_s) is None
