"""``pubsub-perf model``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError
from pubsub_common.text.ascii_numbers import real_number, whole_number
from pubsub_perf.commands.registry import PROGRAM, parse

if TYPE_CHECKING:
    from pubsub_perf.capacity.costs import EventCosts
    from pubsub_perf.capacity.growth import Point
    from pubsub_perf.capacity.registry_load import RegistryLoad
    from pubsub_perf.capacity.workload import Popularity, Workload

USAGE: Final = f"""Predict the capacity of a group of brokers from the cost of an event at one
broker: the work of the busiest broker by the number of brokers, the cost for publishers
and subscribers, and the size of the registry. Prints its assumptions.

Example:
  {PROGRAM} model brokers --topics 1000 --subscribers 500

Usage:
  {PROGRAM} model brokers --topics N --subscribers N [options]

Options:
  --topics N             topics of the group
  --subscribers N        subscribers of the group
  --topics-each N        different topics of each subscriber [default: 1]
  --popularity KIND      uniform, or zipf: topic n has 1/n of the events and of the
                         subscribers of topic 1 [default: uniform]
  --publishers N         publishers in the registry [default: 1]
  --payload BYTES        size of the payload [default: {defaults.PAYLOAD_BYTES}]
  --brokers NUMBERS      numbers of brokers [default: 1,2,4,8,16,32,64]
  --taken-us US          processor time to receive an event, in microseconds; default:
                         the time measured for this payload size
  --copy-us US           processor time for each copy of an event, in microseconds;
                         default: measured as well
  --seed N               seed of the random choices [default: 1]
  --json                 print the numbers as JSON
  --man                  show the manual page, for man -l -
  -h, --help             show this text
  -V, --version          show the version
"""


def run(words: Sequence[str]) -> int:
    """Predict for the group that ``words`` describe; returns the exit code.

    Raises:
        ConfigError: a value is not valid.
    """
    options = parse(USAGE, words)
    from pubsub_perf.capacity import wording
    from pubsub_perf.capacity.growth import grow
    from pubsub_perf.capacity.registry_load import registry_load
    from pubsub_perf.capacity.workload import Workload

    workload = Workload(
        topics=console_script.whole_number(options, "--topics"),
        subscribers=console_script.whole_number(options, "--subscribers"),
        topics_each=console_script.whole_number(options, "--topics-each"),
        popularity=_popularity(options["--popularity"]),
        payload_bytes=console_script.whole_number(options, "--payload", minimum=0),
    )
    publishers = console_script.whole_number(options, "--publishers", minimum=0)
    counts = _counts(options["--brokers"])
    costs = _costs(options, workload.payload_bytes)
    seed = console_script.whole_number(options, "--seed", minimum=0)
    points = list(grow(workload, costs, counts, seed))
    load = registry_load(workload.subscribers + publishers, counts[-1])
    if options["--json"]:
        console_script.print_json(_json(workload, costs, points, load))
    else:
        for line in wording.lines(workload, costs, points, load):
            console_script.print_line(line)
    return console_script.EXIT_OK


def _popularity(text: str) -> Popularity:
    from pubsub_perf.capacity.workload import POPULARITIES

    for known in POPULARITIES:
        if text == known:
            return known
    raise ConfigError(
        f"unknown popularity {text!r}: choose from {', '.join(POPULARITIES)}"
    )


def _counts(text: str) -> list[int]:
    """Numbers of brokers, in ascending order."""
    try:
        found = sorted({whole_number(part.strip()) for part in text.split(",")})
    except ValueError:
        raise ConfigError(
            f"--brokers takes comma-separated numbers: {text!r}"
        ) from None
    return found


def _costs(options: console_script.Options, payload_bytes: int) -> EventCosts:
    from pubsub_perf.capacity.costs import EventCosts, costs_for

    measured = costs_for(payload_bytes)
    return EventCosts(
        _microseconds(options, "--taken-us", measured.taken_us),
        _microseconds(options, "--copy-us", measured.copy_us),
    )


def _microseconds(options: console_script.Options, name: str, measured: float) -> float:
    """The value of an option, or ``measured`` if the option was not given."""
    if options[name] is None:
        return measured
    try:
        return real_number(options[name])
    except ValueError:
        raise ConfigError(
            f"{name}: {options[name]!r} is not a number of microseconds"
        ) from None


def _json(
    workload: Workload,
    costs: EventCosts,
    points: Sequence[Point],
    load: RegistryLoad,
) -> str:
    import json

    from pubsub_perf.capacity.assumptions import assumptions

    found = {
        "format": 1,
        "workload": dataclasses.asdict(workload),
        "costs": dataclasses.asdict(costs),
        "points": [
            dataclasses.asdict(point) | {"events_per_s": point.events_per_s}
            for point in points
        ],
        "registry": dataclasses.asdict(load),
        "assumptions": assumptions(workload),
    }
    return json.dumps(found, indent=1)
