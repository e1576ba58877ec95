"""Payloads that are made from a template, like ``reading {count} at {time}``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from pubsub_common.text.iso_time import iso_time
from pubsub_common.text.template import compiled

# What {NAME} stands for in the event of a number.
FIELDS: Final[Mapping[str, Callable[[int], Any]]] = {
    "count": lambda number: number,
    "time": lambda number: iso_time(time.time_ns()),
    "random": lambda number: random.random(),  # no secret  # nosec B311
}


def payload_template(text: str) -> Callable[[int], bytes]:
    """A function that makes the payload of the event of a number, from 1 on.

    Raises:
        ConfigError: A field has an unknown name, or the text is not a template.
    """
    fill = compiled(text, FIELDS, "--template", of="a payload", example=1)
    # Bytes of the command line that are not UTF-8 are not changed.
    return lambda number: fill(number).encode(errors="surrogateescape")
