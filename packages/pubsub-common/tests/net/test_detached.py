"""Threads that nobody waits for."""

from __future__ import annotations

import threading

from pubsub_common.net.detached import start_detached
from pubsub_common.testing import wait_for


def test_a_detached_thread_has_its_name_and_is_a_daemon() -> None:
    found: list[tuple[str, bool]] = []

    def look() -> None:
        thread = threading.current_thread()
        found.append((thread.name, thread.daemon))

    assert start_detached(look, "pubsub-look")
    wait_for(lambda: bool(found))
    assert found == [("pubsub-look", True)]
