"""The log as JSON."""

from __future__ import annotations

import json
import logging
from datetime import datetime

import pytest

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError

pytestmark = pytest.mark.usefixtures("untouched_logging")


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_an_object_whatever_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console_script.set_up_logging(
        "thing", verbose=False, default="INFO", log_format="json"
    )

    logging.getLogger("x").info("%s joined", 'a "b"\n\u2028\x1b')

    (entry,) = logged(capsys)
    assert entry["message"] == 'a "b"\n\u2028\x1b joined'
    assert (entry["level"], entry["program"]) == ("INFO", "thing")
    offset = datetime.fromisoformat(entry["time"]).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0
    assert set(entry) == {"time", "level", "program", "message"}


def test_an_exception_comes_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console_script.set_up_logging("thing", verbose=False, log_format="json")
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("failed")

    (entry,) = logged(capsys)
    assert entry["exception"].endswith("ValueError: no")


def test_the_last_line_of_a_program_is_json_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        console_script.set_up_logging("thing", verbose=False, log_format="json")
        raise PubSubError("it broke")

    assert console_script.run("thing", work) == console_script.EXIT_FAILED

    (entry,) = logged(capsys)
    assert (entry["level"], entry["message"]) == ("ERROR", "it broke")


def test_without_it_the_last_line_stays_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        console_script.set_up_logging("thing", verbose=False)
        raise PubSubError("it broke")

    assert console_script.run("thing", work) == console_script.EXIT_FAILED

    assert capsys.readouterr().err == "thing: it broke\n"


def test_what_is_said_besides_has_the_form_of_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console_script.set_up_logging("thing", verbose=False)
    console_script.print_message("thing", "5 events")
    assert capsys.readouterr().err == "thing: 5 events\n"

    console_script.set_up_logging("thing", verbose=False, log_format="json")
    console_script.print_message("thing", "5 events")
    (entry,) = logged(capsys)
    assert (entry["level"], entry["message"]) == ("INFO", "5 events")


def test_another_format_is_named() -> None:
    with pytest.raises(ConfigError, match="--log-format is text or json, not 'xml'"):
        console_script.set_up_logging("thing", verbose=False, log_format="xml")
