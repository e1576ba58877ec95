"""Manual pages, made from usage texts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pubsub_common.cli import console_script, usage_text
from pubsub_common.cli.man_page import man_page

PROGRAM = "pubsub-thing go"
USAGE = """Do a thing, or several.

Examples:
  pubsub-thing go .
  echo '\\n' | pubsub-thing go --wait 1

Usage:
  pubsub-thing go NAME... [options]

Prose about it.
.dots begin this line.

Other commands (see --help):
  stay    do nothing

What:
  -w SECONDS, --wait SECONDS  how long, before
                              that [default: 30]

Rare:
  --man                       show the manual page
  -h, --help                  show this text

Exit codes: 0, 1.
"""
PAGE = r""".TH "PUBSUB-THING-GO" 1 "" "pubsub 1.2" "pubsub"
.SH NAME
pubsub\-thing\-go \- do a thing, or several
.SH SYNOPSIS
.br
pubsub\-thing go NAME... [options]
.SH DESCRIPTION
.PP
Prose about it.
\&.dots begin this line.
.PP
Exit codes: 0, 1.
.SH OTHER COMMANDS
.nf
  stay    do nothing
.fi
.SH OPTIONS
.SS What
.TP
\fB\-w\fR \fISECONDS\fR, \fB\-\-wait\fR \fISECONDS\fR
how long, before that (default: 30)
.SS Rare
.TP
\fB\-\-man\fR
show the manual page
.TP
\fB\-h\fR, \fB\-\-help\fR
show this text
.SH EXAMPLES
.nf
  pubsub\-thing go .
  echo '\en' | pubsub\-thing go \-\-wait 1
.fi"""


def test_a_page_has_what_the_usage_text_has() -> None:
    assert man_page(PROGRAM, USAGE, "1.2") == PAGE


def test_a_program_shows_its_page_whatever_else_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.parse(USAGE, ["--man"], PROGRAM, "1.2")

    assert end.value.code == console_script.EXIT_OK
    assert capsys.readouterr() == (PAGE + "\n", "")


def test_the_parts_of_a_usage_text() -> None:
    assert usage_text.summary(USAGE) == "Do a thing, or several."
    titles = [each.title for each in usage_text.sections(USAGE)]
    assert titles == [
        *(
            "Examples",
            "Usage",
            None,
            "Other commands (see --help)",
            "What",
            "Rare",
            None,
        )
    ]


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_groff_finds_nothing_wrong() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww"],
        input=PAGE,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stderr == ""
    assert "Do a thing" not in done.stdout
    assert "do a thing, or several" in done.stdout
