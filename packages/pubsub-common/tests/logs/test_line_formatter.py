"""The log as lines for people."""

from __future__ import annotations

import logging

import pytest

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError

pytestmark = pytest.mark.usefixtures("untouched_logging")

FORGED = "A\r\nthing: all is well\u2028\u202e\x1b[2J\x9b"
SHOWN = "A\\r\\nthing: all is well\\u2028\\u202e\\x1b[2J\\x9b"


def test_text_of_strangers_stays_on_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console_script.set_up_logging("thing", verbose=False)

    logging.getLogger("x").warning("%s joined", FORGED)

    assert capsys.readouterr().err == f"thing: {SHOWN} joined\n"


def test_no_line_of_a_traceback_looks_like_one_of_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console_script.set_up_logging("thing", verbose=False)
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("x").exception("failed")

    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "thing: failed"
    assert lines[1] == "    Traceback (most recent call last):"
    assert lines.pop() == ""
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])


@pytest.mark.parametrize("text", ["x: {}", "{}"])
def test_an_error_that_repeats_an_argument_shows_it(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    def work() -> None:
        raise ConfigError(text.format(FORGED))

    assert console_script.run("thing", work) == console_script.EXIT_USAGE

    assert capsys.readouterr().err == f"thing: {text.format(SHOWN)}\n"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_is_cut_where_it_would_be_too_long(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    console_script.set_up_logging("thing", verbose=False, log_format=log_format)

    logging.getLogger("x").warning("%s", "x" * 1_000_000)
    console_script.print_error("thing", "x" * 1_000_000, 1)

    for line in capsys.readouterr().err.splitlines():
        assert len(line) < 5000
        assert "(995904 more characters)" in line
