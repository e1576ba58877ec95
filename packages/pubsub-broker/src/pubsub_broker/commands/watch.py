"""``pubsub-broker status --watch``: prints the status again and again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_broker.commands.keyboard import QUIT, Keyboard
from pubsub_broker.monitoring.group_status import Answer
from pubsub_broker.monitoring.status_json import status_json
from pubsub_broker.monitoring.status_text import render
from pubsub_broker.monitoring.status_view import rate
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.messages import Status

if TYPE_CHECKING:
    from rich.console import RenderableType

# A broker answers a few requests a second from one address.
MIN_INTERVAL_S: Final = 0.1
# Terminals without cursor control: those of editors, logs of builds.
_NO_SCREEN: Final = {"", "dumb", "unknown"}
_MISSING: Final = (
    "--watch on a terminal needs the package rich: pip install 'pubsub-broker[watch]'"
)


def watch(
    ask: Callable[[], Answer], program: str, interval_s: float, *, as_json: bool
) -> None:
    """Show the status every ``interval_s`` seconds until the key q or a signal: on one live
    screen if standard output is a terminal that can, else one after the other.

    Raises:
        ConfigError: the interval is too short.
        PubSubError: the first request fails, or rich is needed and not installed.
    """
    if interval_s < MIN_INTERVAL_S:
        raise ConfigError(f"--interval must be at least {MIN_INTERVAL_S:g} seconds")
    live = not as_json and sys.stdout.isatty() and _has_screen()
    with (
        Keyboard(sys.stdin.fileno() if live and sys.stdin else None) as keyboard,
        console_script.stop_on_signals(keyboard.stop),
    ):
        if live:
            _on_screen(ask, keyboard, interval_s)
        else:
            _one_by_one(ask, program, keyboard, interval_s, as_json)


def _has_screen() -> bool:
    return os.environ.get("TERM", "") not in _NO_SCREEN


def _one_by_one(
    ask: Callable[[], Answer],
    program: str,
    keyboard: Keyboard,
    interval_s: float,
    as_json: bool,
) -> None:
    status, asked, troubles = ask()
    before: Status | None = None
    while True:
        for trouble in troubles:
            console_script.print_message(program, trouble)
        if as_json:
            console_script.print_json(status_json(status))
        else:
            print(render(status, rate(before, status), asked), flush=True)
            print(flush=True)
        before = status
        while True:
            if QUIT in keyboard.keys(time.monotonic() + interval_s):
                return
            try:
                status, asked, troubles = ask()
                break
            except PubSubError as error:  # it may come back
                console_script.print_error(program, error, console_script.EXIT_FAILED)


def _on_screen(
    ask: Callable[[], Answer], keyboard: Keyboard, interval_s: float
) -> None:
    try:
        from rich.live import Live
    except ImportError:
        raise PubSubError(_MISSING) from None
    from pubsub_broker.monitoring.status_screen import ORDERS, screen

    status, _, troubles = ask()
    before: Status | None = None
    order = "l"

    def content() -> RenderableType:
        trouble = "; ".join(troubles)
        return screen(status, before, trouble, order, keys=keyboard.reads)

    with Live(
        content(), screen=True, auto_refresh=False, redirect_stderr=False
    ) as live:
        due = time.monotonic() + interval_s
        while QUIT not in (keys := keyboard.keys(due)):
            order = next((key for key in reversed(keys) if key in ORDERS), order)
            if time.monotonic() >= due:
                try:
                    answer = ask()
                    before, status, troubles = status, answer.status, answer.troubles
                except PubSubError as error:
                    troubles = [str(error)]
                due = time.monotonic() + interval_s
            live.update(content(), refresh=True)
