"""Events as bytes for standard output."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.events import Event
from pubsub_subscriber.output import formats


def event(payload: bytes = b"hello", topic: str = "A") -> Event:
    return Event("10.0.0.1:5556", 7, 3, 1_000, payload, topic, 65_231)


def test_the_plain_form() -> None:
    assert formats.plain(b"\n")(event(b"\xff")) == b"A 10.0.0.1:5556 64.2 us \\xff\n"


@given(st.binary(), st.sampled_from([b"\n", b"\0"]))
def test_raw_payloads_are_what_was_published(payload: bytes, end: bytes) -> None:
    assert formats.raw(end)(event(payload)) == payload + end


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
def test_an_object_of_json_tells_all_on_one_line(payload: bytes) -> None:
    line = formats.json(b"\n")(event(payload, "é"))

    assert line.count(b"\n") == 1
    found = json.loads(line)
    text, encoded = found.pop("payload", None), found.pop("payload_base64", None)
    assert (text is None) != (encoded is None)
    assert (text.encode() if encoded is None else base64.b64decode(encoded)) == payload
    assert found == {
        "topic": "é",
        "publisher": "10.0.0.1:5556",
        "sequence": 3,
        "published_ns": 1_000,
        "received_ns": 65_231,
        "latency_us": 64.231,
        "size": len(payload),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{topic} {payload}", "A hello"),
        ("{publisher}#{sequence}", "10.0.0.1:5556#3"),
        ("{published_ns} {received_ns} {latency_us} {size}", "1000 65231 64.231 5"),
        ("{sequence:>4}|{latency_us:.1f}|{payload:.2}", "   3|64.2|he"),
        ("{time}", "1970-01-01T00:00:00.000001+00:00"),
        ("{payload_hex} {payload_base64}", "68656c6c6f aGVsbG8="),
        ("{payload_json}", '"hello"'),
        ("{{topic}} }}", "{topic} }"),
        (r"{topic}\t{size}\n.\0\\n \x", "A\t5\n.\0\\n \\x"),
        ("\\", "\\"),
        ("no field", "no field"),
        ("", ""),
        ("\udcff{size}", "\udcff5"),
    ],
)
def test_a_format_is_filled_in(text: str, line: str) -> None:
    assert formats.template(text, b"\0")(event()) == (
        line.encode(errors="surrogateescape") + b"\0"
    )


def test_a_payload_that_is_not_text_is_escaped_in_a_format() -> None:
    assert formats.template("{payload}", b"")(event(b"\xff\0{x}")) == b"\\xff\0{x}"


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b' {"a" :\n [1.50, 2e400, 12345678901234567890123]} ', None),
        (b"7", 7),
        (b'"text"', "text"),
        (b"null", None),
        (b"text", "text"),
        (b"{", "{"),
        (b"NaN", "NaN"),
        (b"", ""),
        (b"[" * 100_000, "[" * 100_000),
        ("\u2028é".encode(), "\u2028é"),
    ],
)
def test_payloads_that_are_json_are_nested_when_asked_for(
    payload: bytes, value: object
) -> None:
    line = formats.json(b"\n", nest=True)(event(payload))

    assert line.count(b"\n") == 1
    found = json.loads(line)["payload"]
    if value is None and payload != b"null":
        assert b'"payload":{"a":[1.50,2e400,12345678901234567890123]}' in line
    else:
        assert found == value
    assert json.loads(formats.template("{payload_json}", b"")(event(payload))) == found


@pytest.mark.parametrize("payload", [b"\xff", b'"\xff"'])
def test_a_payload_that_is_not_utf_8_is_base64_also_when_nested(payload: bytes) -> None:
    found = json.loads(formats.json(b"", nest=True)(event(payload)))

    assert base64.b64decode(found["payload_base64"]) == payload
    assert "payload" not in found


@given(st.binary())
def test_any_payload_has_a_form_of_json(payload: bytes) -> None:
    line = formats.template("{payload_json}", b"")(event(payload))

    assert b"\n" not in line
    json.loads(line)


@pytest.mark.parametrize(
    "text",
    ["{colour}", "{}", "{0}", "{topic.x}", "{topic[0]}", "{topic!r}", "{size:{size}}"],
)
def test_a_field_that_there_is_not_is_named_with_those_that_there_are(
    text: str,
) -> None:
    with pytest.raises(ConfigError) as error:
        formats.template(text, b"\n")

    for name in formats.FIELDS:
        assert f"{{{name}}}" in str(error.value)


@pytest.mark.parametrize("text", ["{", "}", "{topic", "{topic:d}", "{size:q}"])
def test_an_invalid_format_is_reported_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a format") as error:
        formats.template(text, b"\n")

    assert "\n" not in str(error.value)


@given(st.text())
def test_any_text_is_a_format_or_is_refused(text: str) -> None:
    try:
        render = formats.template(text, b"\n")
    except ConfigError:
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # it cannot have come from a command line
    assert render(event()).endswith(b"\n")


HOSTILE = "\x1b]0;name\x07\nA 10.0.0.9:1 1 us \u202eforged\u2028\x9b"
SHOWN = "\\x1b]0;name\\x07\\nA 10.0.0.9:1 1 us \\u202eforged\\u2028\\x9b"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{payload}", SHOWN),
        (r"{payload}\n", SHOWN + "\n"),
        ("{topic}", SHOWN),
        ("{publisher:.4}", "\\x1b"),
        ("{sequence}\x1b[m", "3\x1b[m"),
    ],
)
def test_a_format_on_a_terminal_shows_what_publishers_wrote(
    text: str, line: str
) -> None:
    render = formats.template(text, b"\n", on_terminal=True)
    hostile = Event(HOSTILE, 7, 3, 0, HOSTILE.encode(), HOSTILE)

    assert render(hostile).decode() == line + "\n"


def test_an_event_is_one_line_of_a_terminal() -> None:
    hostile = Event(HOSTILE, 7, 3, 0, HOSTILE.encode(), HOSTILE)

    line = formats.plain(b"\n", on_terminal=True)(hostile).decode()

    assert line == f"{SHOWN} {SHOWN} 0 ns {SHOWN}\n"


def test_json_on_a_terminal_says_the_same() -> None:
    hostile = Event(HOSTILE, 7, 3, 0, HOSTILE.encode(), HOSTILE)

    line = formats.json(b"", on_terminal=True)(hostile).decode()

    assert line.isprintable()
    assert json.loads(line) == json.loads(formats.json(b"")(hostile))
    assert json.loads(line)["payload"] == HOSTILE


def test_a_payload_as_json_on_a_terminal_stays_json() -> None:
    hostile = Event("p", 7, 3, 0, HOSTILE.encode(), HOSTILE)

    line = formats.template("{payload_json}", b"", on_terminal=True)(hostile).decode()

    assert line.isprintable()
    assert json.loads(line) == HOSTILE


def test_programs_get_what_was_published() -> None:
    hostile = Event("p", 7, 3, 0, HOSTILE.encode(), HOSTILE)

    assert HOSTILE.encode() in formats.plain(b"\n")(hostile)
    assert formats.template("{payload}", b"")(hostile) == HOSTILE.encode()
    assert formats.raw(b"")(hostile) == HOSTILE.encode()
