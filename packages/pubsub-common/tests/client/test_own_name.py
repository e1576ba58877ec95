"""The names that clients have without being given one."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from pubsub_common.client.own_name import own_name
from pubsub_common.protocol.client_names import is_client_name


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (["/usr/bin/pubsub-subscriber", "-t", "A"], "pubsub-subscriber"),
        (["weather.py"], "weather"),
        (["/opt/app/weather/__main__.py"], "weather"),
        (["/lib/pubsub_subscriber/__main__.py"], "pubsub-subscriber"),
        (["/opt/my_app/__main__.py"], "my_app"),
        (["-c"], "python"),
        (["-"], "python"),
        ([""], "python"),
        ([], "python"),
        (["/opt/my app\n.py"], "my_app_"),
        (["/opt/\udcff.py"], "_"),
    ],
)
def test_a_name_has_the_program_the_host_and_the_process(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], program: str
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(socket, "gethostname", lambda: "lab.example.org")

    name, _, _number = own_name().partition("#")

    assert name == f"{program}@lab:{os.getpid()}"


def test_no_two_clients_of_a_process_have_one_name() -> None:
    assert own_name() != own_name()


def test_a_long_program_on_a_host_with_a_long_name_has_a_name_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["p" * 200])
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 64)
    monkeypatch.setattr(os, "getpid", lambda: 4_194_304)

    assert is_client_name(own_name())
