"""A program's options, each with the source of its value."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final


class Source(enum.IntEnum):
    """Where an option's value comes from; the stronger is the larger."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    COMMAND_LINE = 3


SOURCE_NAMES: Final = {
    Source.DEFAULT: "default",
    Source.FILE: "file",
    Source.ENVIRONMENT: "environment",
    Source.COMMAND_LINE: "command line",
}


class Settings(dict[str, Any]):
    """Options by long name, as docopt gives them, and the sources of those that have
    one besides their default."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.sources: dict[str, Source] = {}

    def put(self, values: Mapping[str, Any], source: Source) -> None:
        """Set options that no stronger source has set."""
        for name, value in values.items():
            if self.sources.get(name, Source.DEFAULT) <= source:
                self[name] = value
                self.sources[name] = source


def split_broker_address(values: dict[str, Any]) -> None:
    """Where one source names the broker by HOST:PORT, have it say both apart. Of several
    brokers, with commas between, each has its own port or none.

    Raises:
        ConfigError: that is none, or it names two ports.
    """
    text = str(values.get("--broker-address", ""))
    if ":" not in text or "," in text:
        return
    from pubsub_common.protocol.endpoints import parse_broker_address

    host, port = parse_broker_address(text, values.get("--broker-port"))
    values["--broker-address"] = host
    if port is not None:
        values["--broker-port"] = str(port)
