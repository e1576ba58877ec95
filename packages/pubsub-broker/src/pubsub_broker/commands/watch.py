"""``pubsub-broker status --watch``: prints the status each second."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Final

from pubsub_broker.monitoring.group_status import Answer
from pubsub_broker.monitoring.status_text import render
from pubsub_broker.monitoring.status_view import rate
from pubsub_common.cli import console_script
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Status

INTERVAL_S: Final = 1.0
# Terminals without cursor control: those of editors, logs of builds.
_NO_SCREEN: Final = {"", "dumb", "unknown"}
_MISSING: Final = (
    "--watch on a terminal needs the package rich: pip install 'pubsub-broker[watch]'"
)


def watch(ask: Callable[[], Answer], program: str, *, as_json: bool) -> None:
    """Show the status each second until a signal ends it: on one live screen if
    standard output is a terminal with cursor control, otherwise one report after the
    other.

    Raises:
        PubSubError: no broker answers at first, or the package rich is needed and
            missing.
    """
    stopped = threading.Event()
    with console_script.stop_on_signals(stopped.set):
        if not as_json and sys.stdout.isatty() and _has_screen():
            _on_screen(ask, stopped)
        else:
            _one_by_one(ask, program, stopped, as_json)


def _has_screen() -> bool:
    return os.environ.get("TERM", "") not in _NO_SCREEN


def _one_by_one(
    ask: Callable[[], Answer], program: str, stopped: threading.Event, as_json: bool
) -> None:
    status, asked, troubles = ask()
    before: Status | None = None
    while True:
        for trouble in troubles:
            console_script.print_message(program, trouble)
        if as_json:
            console_script.print_json(messages.encode(status).decode())
        else:
            print(render(status, rate(before, status), asked), flush=True)
            print(flush=True)
        before = status
        while True:
            if stopped.wait(INTERVAL_S):
                return
            try:
                status, asked, troubles = ask()
                break
            except PubSubError as error:  # it may come back
                console_script.print_error(program, error, console_script.EXIT_FAILED)


def _on_screen(ask: Callable[[], Answer], stopped: threading.Event) -> None:
    try:
        from rich.live import Live
    except ImportError:
        raise PubSubError(_MISSING) from None
    from pubsub_broker.monitoring.status_screen import screen

    status, _, troubles = ask()
    before: Status | None = None
    with Live(
        screen(status, None, "; ".join(troubles)),
        screen=True,
        auto_refresh=False,
        redirect_stderr=False,
    ) as live:
        while not stopped.wait(INTERVAL_S):
            try:
                answer = ask()
                before, status, troubles = status, answer.status, answer.troubles
            except PubSubError as error:
                troubles = [str(error)]
            live.update(screen(status, before, "; ".join(troubles)), refresh=True)
