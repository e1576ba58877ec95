"""How many clients a broker takes."""

from __future__ import annotations

import dataclasses

import pytest

from pubsub_broker.limits import capacity
from pubsub_broker.limits.capacity import Capacity, Room
from pubsub_common.errors import ConfigError

ASKED = Capacity(100, None, 5.0, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"clients": 0},
        {"per_address": 0},
        {"registrations_per_s": 0.09},
        {"registrations_per_s": float("inf")},
        {"registrations_per_s": float("nan")},
        {"topics_per_client": 0},
        {"topics_per_client": 10**9},
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_the_argument(
    change: dict[str, float],
) -> None:
    with pytest.raises(ConfigError, match=r"^max_"):
        dataclasses.replace(ASKED, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("forwarders", "secure", "sockets"),
    [(0, False, None), (2, False, None), (0, True, None), (2, True, 1200)],
)
def test_a_secure_broker_has_a_socket_for_each_publisher_at_each_forwarder(
    forwarders: int, secure: bool, sockets: int | None
) -> None:
    room = ASKED.make_room(forwarders=forwarders, secure=secure)

    assert room == Room(clients=100, per_address=100, sockets=sockets)


def test_too_few_open_files_are_mentioned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def too_few(asked: int | None, **_: object) -> tuple[int, str | None]:
        return asked or 0, "too few"

    monkeypatch.setattr(capacity, "room_for_clients", too_few)

    ASKED.make_room(forwarders=0, secure=False)

    assert caplog.messages == ["too few"]
