"""Shared parts of the asyncio publisher and subscriber.

The beginning and the end wait for the broker, so they run in a thread. The rest never blocks
and runs in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

# A task that never has to wait lets other tasks run after so many events.
EVENTS_PER_YIELD: Final = 256

_P = ParamSpec("_P")
_T = TypeVar("_T")


def with_arguments_of(
    constructor: Callable[_P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _P], None]]:
    """Declare that an ``__init__`` takes the arguments of another class."""

    def declare(init: Callable[..., None]) -> Callable[Concatenate[Any, _P], None]:
        of = inspect.signature(constructor)
        this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = of.replace(parameters=[this, *of.parameters.values()])
        init.__signature__ = signature  # type: ignore[attr-defined]
        init.__doc__ = init.__doc__ or constructor.__init__.__doc__
        return init

    return declare


async def run_to_completion(
    work: Callable[[], _T], hurry: Callable[[], object] = lambda: None
) -> _T:
    """Run ``work`` in a thread; returns its result. A cancelled call calls ``hurry``, which
    makes the work end soon, and still waits for the end: no other task may use the same
    objects before."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        hurry()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # the first one counts
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # read, so that asyncio does not warn
        raise
