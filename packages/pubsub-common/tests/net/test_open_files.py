"""A role asks whether it may open the files that it needs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from pubsub_common.net.open_files import (
    TooFewFiles,
    check_open_files,
    raise_limit,
    soft_limit_for,
)

UNLIMITED = resource.RLIM_INFINITY
OPEN_AND_TELL = """
import os, resource, sys
from pubsub_common.net.open_files import TooFewFiles, check_open_files
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
files = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
try:
    check_open_files("a test", 10)
except TooFewFiles as error:
    print(error)
else:
    [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
    print("enough")
"""


def told(files: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", OPEN_AND_TELL, str(files)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_the_least_number_is_named_and_is_enough() -> None:
    said = told(9)
    assert said.startswith("9 open files are too few: a test needs at least ")
    assert "ulimit -n" in said
    least = int(said.partition("at least ")[2].split()[0])

    assert told(least) == "enough"
    assert f"at least {least} here" in told(least - 1)


def test_a_process_that_may_is_given_more(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(20, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _what, them: limits.append(them))
    opened = len(os.listdir("/dev/fd")) - 1  # noqa: PTH208

    check_open_files("a test", 100)

    assert limits[-1] == (100 + opened, 4096)
    with pytest.raises(TooFewFiles, match="4096 open files are too few"):
        check_open_files("a test", 4096)


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [
        (1024, 4096, 2000),
        (1024, 1500, 1500),
        (1024, 1024, 1024),
        (1024, UNLIMITED, 2000),
        (UNLIMITED, UNLIMITED, UNLIMITED),
        (3000, 4096, 3000),
    ],
)
def test_the_limit_is_raised_as_far_as_needed_and_possible(
    soft: int, hard: int, limit: int
) -> None:
    assert soft_limit_for(2000, soft, hard) == limit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 1_048_576), (16_384, 1_048_576)),
        ((1024, 4096), (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), (16_384, resource.RLIM_INFINITY)),
        ((20_000, 1_048_576), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_as_many_files_are_allowed_as_may_be(
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[int, int],
    after: tuple[int, int] | None,
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, them: asked.append(them))

    raise_limit(16_384)

    assert asked == ([] if after is None else [after])
