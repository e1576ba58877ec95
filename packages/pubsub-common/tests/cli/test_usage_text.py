"""What a usage text says about its options."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.cli import usage_text
from pubsub_common.cli.usage_text import OptionLine

DOC = """Do a thing.

Usage:
  thing [-t TOPIC]... [options] [--file FILE]...

Prose that mentions --topic and -x at no line's beginning.

Options:
  -t TOPIC, --topic TOPIC         a topic; repeat for more: -t A -t B
  -0, --null                      end in zero
  --file FILE                     a file
  --port PORT                     a port; with a text that is long, and
                                  goes on [default: 5555]
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
        OptionLine("--file", None, "FILE", "a file", None, True),
        OptionLine(
            "--port",
            None,
            "PORT",
            "a port; with a text that is long, and goes on",
            "5555",
            False,
        ),
        OptionLine("--wait", None, "SECONDS", "how long", "30", False),
        OptionLine("--help", "-h", None, "show this text", None, False),
    ]


def test_without_defaults_everything_else_stays() -> None:
    text = usage_text.without_defaults(DOC)

    assert "[default" not in text
    assert [line._replace(default=None) for line in usage_text.option_lines(DOC)] == (
        usage_text.option_lines(text)
    )


def test_an_option_that_is_a_digit_is_spelled_out_unless_it_is_a_value() -> None:
    lines = usage_text.option_lines(DOC)

    assert usage_text.expand_digit_options(
        ["-0", "--port", "-0", "-t", "-0"], lines
    ) == (["--null", "--port", "-0", "-t", "-0"])
    assert usage_text.expand_digit_options(["-1", "--", "-0"], lines) == [
        "-1",
        "--",
        "-0",
    ]


@given(st.lists(st.text(max_size=5)))
def test_other_words_stay(words: list[str]) -> None:
    assert usage_text.expand_digit_options(words, usage_text.option_lines("")) == words


def test_commands_are_found_where_they_are_listed() -> None:
    doc = "Run.\n\nUsage:\n  x\n\nOther commands (see x COMMAND --help):\n"
    doc += "  status    ask a thing\n  go        off\n\nOptions:\n  --wait    wait\n"

    assert usage_text.commands(doc) == {"status": "ask a thing", "go": "off"}
    assert usage_text.commands(DOC) == {}


def test_the_pattern_is_the_first_line_of_usage() -> None:
    assert usage_text.pattern(DOC) == "thing [-t TOPIC]... [options] [--file FILE]..."
    assert not usage_text.pattern("Nothing.")
