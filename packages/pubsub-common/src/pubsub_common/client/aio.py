"""Base of the asyncio publisher and subscriber.

Both wrap a synchronous object. What waits for the broker (the beginning, the end) runs in a
thread, once for each object; the rest never blocks, so it runs in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar

# Who never has to wait still lets other tasks run after so many events.
EVENTS_PER_YIELD: Final = 256

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Synchronous(Protocol):
    """What is wrapped: a role with sockets and a thread of its own."""

    session: int

    @property
    def topics(self) -> tuple[str, ...]: ...
    def configure(self) -> None: ...
    def stop(self) -> None: ...
    def disconnect(self) -> None: ...


_R = TypeVar("_R", bound=Synchronous)


class Asynchronous(Generic[_R]):
    """A role for asyncio, from its beginning to its end; ``_inner`` is the synchronous
    one."""

    _inner: _R
    _since_yield = 0  # events since other tasks could run

    async def configure(self) -> None:
        """Register with the broker, and do all else that the synchronous one does.
        Raises what that does. When this is cancelled, nothing is left of it."""
        inner = self._inner
        try:
            await run_to_completion(inner.configure, inner.stop)
        except asyncio.CancelledError:
            await run_to_completion(
                inner.disconnect
            )  # it may have been too late to stop it
            raise

    async def disconnect(self) -> None:
        """Leave the system as the synchronous one does. Again: does nothing."""
        await run_to_completion(self._inner.disconnect)

    def stop(self) -> None:
        """As of the synchronous one: for any thread and for signal handlers."""
        self._inner.stop()

    async def __aenter__(self) -> Self:
        await self.configure()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()

    @property
    def session(self) -> int:
        """The session that the broker has given us; -1 before."""
        return self._inner.session

    @property
    def topics(self) -> tuple[str, ...]:
        return self._inner.topics

    async def _yield_to_loop(self) -> None:
        """Let other tasks run. Nobody has half an event in hand meanwhile."""
        self._since_yield = 0
        await asyncio.sleep(0)


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
        init.__doc__ = constructor.__init__.__doc__
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
