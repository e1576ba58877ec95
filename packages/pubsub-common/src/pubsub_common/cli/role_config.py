"""Turns the options of a console script into the config of its role."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from pubsub_common.cli import console_script, usage_text
from pubsub_common.errors import ConfigError

_RENAMED: Final = {"max_payload_bytes": "--max-payload"}


def listen_host(options: console_script.Options, name: str) -> str | None:
    """Option ``name`` as the host to listen at; None if it was not given.

    Raises:
        ConfigError: the value is invalid.
    """
    from pubsub_common.protocol.listening import parse_listen_host

    with _naming(name):
        return parse_listen_host(options[name]) if options[name] else None


def advertised(options: console_script.Options, name: str) -> str | None:
    """Option ``name``, the ``HOST`` or ``HOST:PORT`` that clients connect to; None if it was
    not given.

    Raises:
        ConfigError: the value is invalid.
    """
    from pubsub_common.protocol.listening import parse_advertised

    with _naming(name):
        if options[name]:
            parse_advertised(options[name])
    return options[name] or None


def own_host(options: console_script.Options, name: str) -> str | None:
    """Option ``name`` as this host's IP address or name; None if it was not given.

    Raises:
        ConfigError: the value is invalid.
    """
    from pubsub_common.protocol.endpoints import validate_own_host

    with _naming(name):
        return validate_own_host(options[name]) if options[name] else None


def client_arguments(
    options: console_script.Options, *, listens: bool = False
) -> dict[str, Any]:
    """The common arguments of publishers and subscribers, from the options. A client that
    ``listens`` may advertise a port, too.

    Raises:
        ConfigError: an option is invalid.
    """
    from pubsub_common.protocol.endpoints import broker_endpoints

    broker = console_script.required(options, "--broker-address", "-b HOST")
    with _naming("--broker-address"):
        broker_endpoints(broker, None)
    return {
        "broker_address": broker,
        "topics": tuple(console_script.required(options, "--topic", "TOPIC")),
        "broker_port": console_script.port_number(options, "--broker-port"),
        "address": (advertised if listens else own_host)(options, "--address"),
        "clock": options["--clock"],
        "connect_timeout_s": console_script.seconds(options, "--connect-timeout"),
        "attach_timeout_s": console_script.seconds(options, "--attach-timeout"),
        "keys": options["--keys"],
        "name": options["--name"],
    }


def queue_arguments(options: console_script.Options) -> dict[str, Any]:
    """The arguments about bytes that all roles have, from the options.

    Raises:
        ConfigError: an option is invalid.
    """
    return {
        "queue_bytes": console_script.whole_number(options, "--queue-bytes"),
        "queue_total": console_script.whole_number(options, "--queue-total"),
        "max_payload_bytes": console_script.whole_number(options, "--max-payload"),
    }


class Config(Protocol):
    """The config of a role, which its class is made from."""

    def validate(self) -> None: ...


_Config = TypeVar("_Config", bound=Config)


def validated(
    config: _Config, usage: str, renamed: Mapping[str, str] | None = None
) -> _Config:
    """``config``, after its own checks. Their errors name arguments; this function replaces
    an argument by its option in ``usage``. ``renamed`` has the options with names that do not
    follow from their arguments.

    Raises:
        ConfigError: an option cannot work.
    """
    try:
        config.validate()
    except ConfigError as error:
        argument, _, complaint = str(error).partition(" ")
        by_rule = "--" + argument.removesuffix("_s").replace("_", "-")
        option = {**_RENAMED, **(renamed or {})}.get(argument, by_rule)
        if option not in {line.long for line in usage_text.option_lines(usage)}:
            raise
        raise ConfigError(f"{option} {complaint}") from None
    return config


@contextlib.contextmanager
def _naming(option: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from None
