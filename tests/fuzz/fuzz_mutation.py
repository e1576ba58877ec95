"""Changed inputs: some of their bytes, or a part of the JSON or MessagePack in them.

A decoder rejects most random bytes immediately. A change of one value, with the rest
left valid, gets further.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

_NUMBERS: Final = (
    *(0, 1, 2, 3, -1, 127, 128, 255, 256, 4096, 65535),
    *(2**31 - 1, 2**31, 2**53 - 1, 2**53, 2**62 - 1, 2**62, -(2**62), 2**63 - 1),
    *(2**63, 2**64 - 1, -(2**63)),
    *(0.0, -0.5, 1.5, 1e300, 6.0, 1e-9),
)
_TEXTS: Final = (
    *("", "A", "température", "publisher", "subscriber", "realtime", "monotonic"),
    *("centralized", "decentralized", "10.0.0.2:5556", "10.0.0.3", "0.0.0.0:1", "\0"),
    *("\n", "\ud7ff", "\U0001f600", "a" * 300, "unknown_session", "malformed"),
)
# Values that JSON and MessagePack have, but Python does not.
_TOKENS: Final = (
    *(
        b"\0",
        b"\xff",
        b"\xfe",
        b"\n",
        b"\x95",
        b"\x96",
        b"A\0\1\x95",
        b"\0\2",
        b"\xff\xff",
    ),
    *(b"\xc0", b"\xc1", b"\xc4\xff", b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"),
    *(b"\xdb\xff\xff\xff\xff", b"\xc7\x00\x01", b"\xd4\xff\x00", b"\x91" * 40),
    *(b"\xd9\x02\xc3\x28", b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\0" * 7),
    *(b"\xcb\x7f\xf8" + b"\0" * 6, b"\xc2", b"[" * 40, b'{"a":' * 20),
    *(b"\\ud800", b"\\u0000", b"\\", b'"', b"1e999", b"-1e999", b"NaN", b"null"),
    *(
        b"1" * 30,
        b"-" + b"9" * 30,
        b"9007199254740992",
        b"1.0",
        b"true",
        b"\xef\xbb\xbf",
    ),
)
# Deep enough to detect any recursion, and the longest numbers that Python accepts.
_DEEP: Final = (
    *(b"\x91" * 12_000, b"[" * 12_000, b"\x81\xa0" * 12_000, b'{"a":' * 12_000),
    *(b"9" * 4300, b"9" * 5000),
)
_MAX_BYTES: Final = 4096

Mutation = Callable[[bytes, random.Random], bytes]


def mutate(data: bytes, chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """``data`` with one to four changes."""
    if chance.random() < 0.005:
        at = chance.randrange(len(data) + 1)
        at = chance.choice((at, len(data)))
        return _lengthened(data[:at], chance) + chance.choice(_DEEP) + data[at:]
    for _ in range(1 + int(chance.expovariate(1.2))):
        data = chance.choice(_MUTATIONS)(data, chance)
    if chance.random() < 0.1:
        data = _spliced(data, chance.choice(corpus), chance)
    return data[:_MAX_BYTES] if len(data) > 4 * _MAX_BYTES else data


def _spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return data + b"\n" + other
    return (
        data[: chance.randrange(len(data) + 1)]
        + other[chance.randrange(len(other) + 1) :]
    )


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    changed = data[at] ^ (1 << chance.randrange(8))
    return data[:at] + bytes((changed,)) + data[at + 1 :]


def _byte(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return (
        data[:at] + bytes((chance.randrange(256),)) + data[at + chance.randrange(2) :]
    )


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + 1 + int(chance.expovariate(0.2)) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    part = data[at : at + 1 + int(chance.expovariate(0.1))]
    return data[:at] + part * (1 + chance.randrange(3)) + data[at:]


def _token(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    token = chance.choice(_TOKENS)
    return data[:at] + token + data[at + chance.choice((0, 0, 1, len(token))) :]


def _json(data: bytes, chance: random.Random) -> bytes:
    """One of its lines, as JSON."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    try:
        value = msgspec.json.decode(lines[at])
        lines[at] = msgspec.json.encode(changed(value, chance))
    except (ValueError, OverflowError, RecursionError):
        return _token(data, chance)
    return b"\n".join(lines)


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    if len(lines) < 2:
        return _json(data, chance)
    chance.shuffle(lines)
    return b"\n".join(lines[: 1 + chance.randrange(len(lines))])


def _msgpack(data: bytes, chance: random.Random) -> bytes:
    """An input that begins with an array of five or six, as MessagePack."""
    starts = [at for at, byte in enumerate(data[:400]) if byte in (0x95, 0x96)]
    if not starts:
        return _token(data, chance)
    at = chance.choice(starts)
    try:
        value = msgspec.msgpack.decode(data[at:])
        return data[:at] + msgspec.msgpack.encode(changed(value, chance))
    except (ValueError, OverflowError, RecursionError, TypeError):
        return _byte(data, chance)


def _lengthened(data: bytes, chance: random.Random) -> bytes:
    """An input that begins with an array of five or six, lengthened with values of the
    expected types, so that later values are read."""
    at = max(data.rfind(b"\x95"), data.rfind(b"\x96"))
    if at < 0 or chance.random() < 0.3:
        return data
    size = data[at] - 0x90
    more = chance.choice(((), ("", 0), ("",), (0, 0)))
    tail = b"".join(map(msgspec.msgpack.encode, more))
    mark = bytes((0x90 + size + len(more) + 1,))
    return data[:at] + mark + data[at + 1 :] + tail


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(_flip, _byte, _cut, _repeat, _token, _lines),
    *(_json, _json, _json, _msgpack, _msgpack, _msgpack),
)


def changed(value: Any, chance: random.Random) -> Any:
    """A value with a change in one place, which may be the whole value."""
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        kind = chance.randrange(8)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return [*value, value[at]]
        return [*value[:at], changed(value[at], chance), *value[at + 1 :]]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        kind = chance.randrange(8)
        if kind == 0:
            return {name: item for name, item in value.items() if name != key}
        if kind == 1:
            return {**value, chance.choice(_TEXTS): value[key]}
        return {**value, key: changed(value[key], chance)}
    return _anything(value, chance)


def _anything(value: Any, chance: random.Random) -> Any:
    kind = chance.randrange(10)
    if kind < 3 and isinstance(value, int):
        return value + chance.choice((-1, 1, 2, 10))
    if kind < 6:
        return chance.choice(_NUMBERS)
    if kind < 8:
        return chance.choice(_TEXTS)
    return chance.choice(
        (None, True, False, [], {}, [value], {"A": value}, b"", b"xyz")
    )
