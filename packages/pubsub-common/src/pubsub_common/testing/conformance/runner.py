"""Puts a client through scenarios, several at once: most of their time they wait."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance.findings import (
    Failed,
    Interrupted,
    Outcome,
)
from pubsub_common.testing.conformance.publisher_stage import PublisherStage
from pubsub_common.testing.conformance.scenario import SCENARIOS, Scenario
from pubsub_common.testing.conformance.stage import Stage
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

# How long what must come may take. A client passes as soon as it has come, so this is for
# machines that are busy.
PATIENCE_S: Final = 10.0
JOBS: Final = 4


def scenarios_of(
    role: Role,
    names: Collection[str] = (),
    *,
    without: Collection[str] = (),
    options: Collection[str] = (),
) -> list[Scenario]:
    """The scenarios of a role: those with these names, else all but those ``without`` which it
    is to be, and those that need another option.

    Raises:
        ConfigError: there is none of a name, or none is left.
    """
    # Each module adds its own.
    from pubsub_common.testing.conformance import scenarios

    scenarios.load()
    mine = {each.name: each for each in SCENARIOS if role in each.roles}
    for name in (*names, *without):
        if name not in mine:
            raise ConfigError(f"there is no scenario {name!r} for a {role}; see --list")
    chosen = [mine[name] for name in names] or [
        each
        for each in mine.values()
        if each.optional is None or each.optional in options
    ]
    left = [each for each in chosen if each.name not in without]
    if not left:
        raise ConfigError("no scenario is left to be tried")
    return left


def run_all(
    role: Role,
    command: Sequence[str],
    scenarios: Sequence[Scenario],
    *,
    patience_s: float = PATIENCE_S,
    jobs: int = JOBS,
    stopping: threading.Event | None = None,
) -> Iterator[Outcome]:
    """Run scenarios with a client; ``command`` starts it again for each. Yields outcomes in
    their order, each as soon as it is known. Once ``stopping`` is set there are no more.

    Raises:
        ConfigError: the command cannot be started.
    """
    stop = stopping or threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(
            lambda scenario: run(role, command, scenario, patience_s, stop.is_set),
            scenarios,
        )
    except Interrupted:
        return
    finally:
        # Those that are under way end their clients.
        stop.set()
        pool.shutdown(cancel_futures=True)


def run(
    role: Role,
    command: Sequence[str],
    scenario: Scenario,
    patience_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Put a client through one scenario.

    Raises:
        ConfigError: the command cannot be started.
        Interrupted: ``stopped()`` became true.
    """
    new_stage = SubscriberStage if role == "subscriber" else PublisherStage
    failure: Failed | None = None
    own: list[str] = []
    stage: Stage
    with new_stage(command, patience_s, scenario.section) as stage:
        stage.stopped = stopped
        try:
            scenario.script(stage)
        except Failed as failed:
            failure = failed
        except (ConfigError, Interrupted):
            raise
        except Exception as error:
            failure = Failed(
                "the tool to work",
                f"{error!r}, a fault of pubsub-conformance itself",
                scenario.section,
            )
            own = traceback.format_exc().splitlines()
        record = (*stage.record(), *own)
    return Outcome(scenario.name, scenario.title, failure, record)
