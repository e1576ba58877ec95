"""One file is written by one role at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.file_claim import FileClaim

HOLD = """
import sys
from pubsub_common.file_claim import FileClaim
claim = FileClaim(sys.argv[1], "subscriber")
claim.take()
print("taken", flush=True)
sys.stdin.readline()
"""


def test_a_claim_excludes_others_until_its_end(tmp_path: Path) -> None:
    path = str(tmp_path / "f.csv")
    first, second = FileClaim(path, "subscriber"), FileClaim(path, "subscriber")
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
    claim = FileClaim(str(path), "subscriber")
    claim.take()

    with pytest.raises(ConfigError, match=r"link\.csv: another subscriber"):
        FileClaim(str(link), "subscriber").take()
    claim.release()


def test_a_device_may_have_several_writers() -> None:
    claims = [FileClaim("/dev/null", "subscriber") for _ in range(2)]

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
            FileClaim(path, "subscriber").take()
        holder.kill()
        holder.wait()

    claim = FileClaim(path, "subscriber")
    claim.take()
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "f.csv"
    link.symlink_to(link)

    with pytest.raises(ConfigError, match="circular links"):
        FileClaim(link, "broker").take()
