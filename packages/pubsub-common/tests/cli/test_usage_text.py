"""What a usage text says about its options."""

from __future__ import annotations

from pubsub_common.cli import usage_text
from pubsub_common.cli.usage_text import OptionLine

DOC = """Do a thing.

Usage:
  thing [options]

Prose that mentions --topic and -x at no line's beginning.

Options:
  -t TOPIC, --topic TOPIC         a topic; repeat for more: -t A -t B
  -0, --null                      end in zero
  --file FILE                     a file; repeat for more
  --port PORT                     a port; with a text that is long, and
                                  continues [default: 5555]
  --wait SECONDS                  how long
                                  [default: 30]
  -h, --help                      show this text

Exit codes: 0, 1, 2.
"""


def test_each_option_is_found_with_all_that_is_said_about_it() -> None:
    assert usage_text.option_lines(DOC) == [
        OptionLine(
            "--topic", "-t", "TOPIC", "a topic; repeat for more: -t A -t B", None, True
        ),
        OptionLine("--null", "-0", None, "end in zero", None, False),
        OptionLine("--file", None, "FILE", "a file; repeat for more", None, True),
        OptionLine(
            "--port",
            None,
            "PORT",
            "a port; with a text that is long, and continues",
            "5555",
            False,
        ),
        OptionLine("--wait", None, "SECONDS", "how long", "30", False),
        OptionLine("--help", "-h", None, "show this text", None, False),
    ]


def test_docopt_gets_the_patterns_and_a_line_for_each_option() -> None:
    lines = usage_text.option_lines(DOC)

    assert (
        usage_text.for_docopt(DOC, lines)
        == """Usage:
  thing [options] [--topic TOPIC]... [--file FILE]...

  -t TOPIC, --topic TOPIC
  -0, --null
  --file FILE
  --port PORT  [default: 5555]
  --wait SECONDS  [default: 30]
  -h, --help"""
    )


def test_commands_are_found_where_they_are_listed() -> None:
    doc = "Run.\n\nUsage:\n  x\n\nOther commands (see x COMMAND --help):\n"
    doc += "  status    ask a thing\n  go        off\n\nOptions:\n  --wait    wait\n"

    assert usage_text.commands(doc) == {"status": "ask a thing", "go": "off"}
    assert usage_text.commands(DOC) == {}


def test_the_pattern_is_the_first_line_of_usage() -> None:
    assert usage_text.pattern(DOC) == "thing [options]"
    assert not usage_text.pattern("Nothing.")


def test_a_value_may_have_two_parts() -> None:
    doc = "Usage:\n  pubsub-x [options]\n\n  --part I/N              run part I of N\n"
    (line,) = usage_text.option_lines(doc)
    assert (line.long, line.value) == ("--part", "I/N")
    assert "--part I/N" in usage_text.for_docopt(doc, [line])
