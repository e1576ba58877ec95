"""What the asyncio publisher and subscriber share.

What waits for the broker (the beginning, the end) runs in a thread; the rest never blocks, so
it runs in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

# Who never has to wait still lets other tasks run after so many events.
EVENTS_PER_YIELD: Final = 256

_P = ParamSpec("_P")
_T = TypeVar("_T")


def with_arguments_of(
    constructor: Callable[_P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _P], None]]:
    """Declare that an ``__init__`` takes the arguments of another class, of which it has
    no list of its own."""

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
    """Run ``work`` in a thread; its result. When this is cancelled, ``hurry`` is called,
    which should have it end soon, and the end is waited for all the same: nobody may use
    what a thread still works on."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        hurry()
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # once is enough
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # looked at, so that nobody complains
        raise
