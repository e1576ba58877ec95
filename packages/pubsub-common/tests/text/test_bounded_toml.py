"""TOML that is slow to parse, or crashes the parser, is rejected before parsing."""

from __future__ import annotations

import tomllib

import pytest

from pubsub_common.defaults import MAX_FILE_BYTES
from pubsub_common.text.bounded_toml import TomlError, parse

ORDINARY = '''
# [[[[[[[[[[[[ a.b.c.d.e.f.g.h.i.j.k.l
[clients.alice]  # "
publish = ["a.b.c.d.e.f.g.h.i.j", "[[[[[[[[[[[[[[", 'x\\', "y\\"[[[[[[[[[["]
since = 2027-01-31T12:00:00.5Z
[clients."a.b.c.d.e.f.g.h.i.j.k"]
text = """
[[[[[[[[[[[[[[[[[ a.b.c.d.e.f.g.h.i.j.k \\""" ""\\
"""""
other = \'\'\'
[[[[[[[[[[[[[[[[[ '' "
\'\'\'
numbers = [1.5, 2.5, 3.5, -1e5, [0x1f, {a.b.c = [1]}]]
'''


@pytest.mark.parametrize("text", ["", ORDINARY, ORDINARY.replace("\n", "\r\n")])
def test_an_ordinary_text(text: str) -> None:
    assert parse(text.encode()) == tomllib.loads(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 50_000, r"too many brackets within each other \(at line 1, column 9\)"),
        ("a = " + "[" * 50_000, "too many brackets within each other"),
        ("\n\na = " + "{a=" * 50_000, r"brackets.*\(at line 3, column 29\)"),
        (".".join("a" * 60_000) + " = 1", r"too many parts \(at line 1, column 16\)"),
        (("a . " * 999 + "a = 1\n") * 200, "a key has too many parts"),
        ('x = {"a"' + ".'a'" * 999 + "=1}", "a key has too many parts"),
        ("[" + ".".join("a" * 60_000) + "]", "a key has too many parts"),
        ("a = " + "9" * 5000, r"a word is too long \(at line 1, column 5\)"),
        ("a = 0x" + "f" * 5000, "a word is too long"),
        ("a" * 5000 + " = 1", "a word is too long"),
        ("x = [" + "{}," * 200_000 + "]", "it has too many parts"),
        ("[[a]]\n" * 150_000, "it has too many parts"),
        ("".join(f"a.b{n}.c.d.e = 1\n" for n in range(40_000)), "too many parts"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
        ('a = "', "Illegal character|Unterminated|Expected"),
        ('a = """' + "[" * 99, "Unterminated|Expected"),
    ],
)
def test_a_text_of_another_shape(text: str, complaint: str) -> None:
    with pytest.raises(TomlError, match=complaint) as caught:
        parse(text.encode())
    assert "\n" not in str(caught.value)


def test_a_list_of_many_clients() -> None:
    text = "".join(
        f'["client-{number}"]\npublic = "{"x" * 40}"\nenrolled = 2027-01-31T12:00:00Z\n'
        for number in range(50_000)
    )

    assert len(parse(text.encode())) == 50_000


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(TomlError, match="it is not UTF-8"):
        parse(b"a = 1 # \xff")


@pytest.mark.parametrize("part", ['"', "'", '"""', "'''", '"a', "'''\"", '"""\\', "\\"])
def test_quotes_that_do_not_end_are_looked_at_once(part: str) -> None:
    """One pass; a text of this length would take hours in a pass for each quote."""
    with pytest.raises(TomlError):
        parse((part * MAX_FILE_BYTES)[:MAX_FILE_BYTES].encode())
