"""Text for streams with an encoding that lacks its letters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pubsub_common.cli import plain_text

PROGRAM = """
import sys
from pubsub_common.cli import standard_streams
standard_streams.open_standard_streams(str)
print(sys.argv[1])
print(sys.argv[1], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("412 \u00b5s", b"412 us"),
        ("3 \u00d7 4 \u2265 2\u00b2", b"3 x 4 >= 2^2"),
        ("\u250f\u2501\u2533\u2503\u2502", b"---||"),
        ("\u28fb", b"*"),
        ("caf\u00e9 \u20ac \U0001f600", rb"caf\xe9 \u20ac \U0001f600"),
        ("a\udcffb", b"a\xffb"),
        ("plain", b"plain"),
    ],
)
def test_ascii_gets_what_stands_for_a_letter(text: str, written: bytes) -> None:
    plain_text.register()
    assert text.encode("ascii", plain_text.ERRORS) == written


def test_an_encoding_that_has_the_letters_gets_them() -> None:
    plain_text.register()
    assert (
        "\u00b5 \u250f".encode("utf-8", plain_text.ERRORS) == "\u00b5 \u250f".encode()
    )
    assert "\u00b5".encode("latin-1", plain_text.ERRORS) == b"\xb5"


def test_it_is_for_writing() -> None:
    plain_text.register()
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", plain_text.ERRORS)


@pytest.mark.parametrize(
    ("encoding", "written"), [("ascii", b"1 us\n"), ("ascii:replace", b"1 ?s\n")]
)
def test_standard_streams_write_so_unless_somebody_says_otherwise(
    encoding: str, written: bytes
) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", PROGRAM, "1 \u00b5s"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert (done.stdout, done.returncode) == (written, 0)
    assert done.stderr == b"1 us\n"
