"""Uses an object for asyncio like one for threads: its coroutines run in an event loop
of its own thread. So one suite of tests covers both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")


class InEventLoop:
    """Has the methods of the object from ``make``, without ``await``."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._inner = self._run_plain(make)
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            return lambda *args, **kwargs: self._run(found(*args, **kwargs))
        if inspect.isasyncgenfunction(found):
            return lambda *args, **kwargs: self._iterate(found(*args, **kwargs))
        if callable(found):
            return lambda *args, **kwargs: self._run_plain(
                lambda: found(*args, **kwargs)
            )
        return found

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(self._inner.__aiter__())

    def __enter__(self) -> Self:
        try:
            self._run(self._inner.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._inner.__aexit__(kind, error, trace))
        self.close()

    def close(self) -> None:
        """End the loop. A second call does nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Awaitable[_T]) -> _T:
        async def wait() -> _T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    def _run_plain(self, work: Callable[[], _T]) -> _T:
        async def do() -> _T:
            return work()

        return self._run(do())

    def _iterate(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        while True:
            try:
                item = self._run(anext(items))
            except StopAsyncIteration:
                return
            yield item
