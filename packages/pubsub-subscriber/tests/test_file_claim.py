"""One file is the output of one subscriber at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_broker import FakeBroker

from pubsub_common.errors import ConfigError
from pubsub_subscriber import Subscriber


def test_the_second_subscriber_is_refused_and_the_file_is_free_afterwards(
    broker: FakeBroker,
    new_subscriber: Callable[..., Subscriber],
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "f.csv")
    options: dict[str, Any] = {
        "broker_port": broker.port,
        "topics": ["A"],
        "filename": path,
        "max_event_count": 1,
    }
    waiting = Subscriber(**options)
    first = new_subscriber("A", filename=path, max_event_count=1)

    with pytest.raises(ConfigError, match="another subscriber"):
        Subscriber(**options)
    with pytest.raises(ConfigError, match="another subscriber"):
        waiting.configure()
    first.disconnect()

    with Subscriber(**options, attach_timeout_s=0):
        pass
    assert list(tmp_path.iterdir()) == []
