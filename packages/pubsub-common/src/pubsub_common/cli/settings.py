"""A program's options, each with the source of its value."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final


class Source(enum.IntEnum):
    """The source of an option's value. The larger one overrides the smaller one."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    CONTEXT = 3
    COMMAND_LINE = 4


SOURCE_NAMES: Final = {
    Source.DEFAULT: "default",
    Source.FILE: "file",
    Source.ENVIRONMENT: "environment",
    Source.CONTEXT: "context",
    Source.COMMAND_LINE: "command line",
}


class Settings(dict[str, Any]):
    """Options by long name, as docopt returns them, with the sources of their values; the
    source of a default is not stored."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.sources: dict[str, Source] = {}

    def put(self, values: Mapping[str, Any], source: Source) -> None:
        """Set the options of this program that no stronger source has set."""
        for name, value in values.items():
            if name in self and self.sources.get(name, Source.DEFAULT) <= source:
                self[name] = value
                self.sources[name] = source


def split_broker_address(values: dict[str, Any]) -> None:
    """Split the broker that one source names, HOST:PORT or a URL, into host, port and topic.
    Of several brokers each gets the port that this source names, if it has none. The topic of
    a URL counts if this source names no other.

    Raises:
        ConfigError: the address is invalid, or names two ports.
    """
    from pubsub_common.protocol.broker_url import parse_url

    text, topic = parse_url(str(values.get("--broker-address", "")))
    if topic is not None:
        values.setdefault("--topic", [topic])
    if text:
        values["--broker-address"] = text
    if "," in text:
        values["--broker-address"] = _with_ports(text, values.get("--broker-port"))
        return
    if ":" not in text:
        return
    from pubsub_common.protocol.endpoints import parse_broker_address
    from pubsub_common.protocol.listening import is_wildcard

    if is_wildcard(text):
        return  # the program decides whether it has a use for one
    host, port = parse_broker_address(text, values.get("--broker-port"))
    values["--broker-address"] = host
    if port is not None:
        values["--broker-port"] = str(port)


def _with_ports(text: str, port: str | None) -> str:
    """Add ``port`` to each broker without a port."""
    from pubsub_common.protocol.endpoints import broker_names, parse_broker_address

    found = []
    for name in broker_names(text):
        host, own = parse_broker_address(name)
        which = port if own is None else own
        found.append(host if which is None else f"{host}:{which}")
    return ",".join(found)
