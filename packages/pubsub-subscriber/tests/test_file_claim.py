"""One file is the output of one subscriber at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_broker import FakeBroker

from pubsub_common.errors import ConfigError
from pubsub_subscriber import Subscriber
from pubsub_subscriber.file_claim import FileClaim

HOLD = """
import sys
from pubsub_subscriber.file_claim import FileClaim
claim = FileClaim(sys.argv[1])
claim.take()
print("taken", flush=True)
sys.stdin.readline()
"""


def test_a_claim_excludes_others_until_its_end(tmp_path: Path) -> None:
    path = str(tmp_path / "f.csv")
    first, second = FileClaim(path), FileClaim(path)
    first.check()
    first.take()
    first.take()  # it has it

    for attempt in (second.take, second.check):
        with pytest.raises(ConfigError, match=r"f\.csv: another subscriber"):
            attempt()
    first.release()
    first.release()
    second.take()
    second.release()

    assert list(tmp_path.iterdir()) == []


def test_another_name_of_the_file_is_no_way_around(tmp_path: Path) -> None:
    path, link = tmp_path / "f.csv", tmp_path / "link.csv"
    path.touch()
    link.symlink_to(path)
    claim = FileClaim(str(path))
    claim.take()

    with pytest.raises(ConfigError, match=r"link\.csv: another subscriber"):
        FileClaim(str(link)).take()
    claim.release()


def test_a_device_may_have_several_writers() -> None:
    claims = [FileClaim("/dev/null") for _ in range(2)]

    for claim in claims:
        claim.take()
        claim.release()


def test_a_process_that_was_killed_has_no_claim_any_more(tmp_path: Path) -> None:
    path = str(tmp_path / "f.csv")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(ConfigError, match="another subscriber"):
            FileClaim(path).take()
        holder.kill()
        holder.wait()

    claim = FileClaim(path)
    claim.take()
    claim.release()
    assert list(tmp_path.iterdir()) == []


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
