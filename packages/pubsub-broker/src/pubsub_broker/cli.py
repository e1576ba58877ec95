"""The console script ``pubsub-broker``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script, option_texts, role_config
from pubsub_common.errors import ConfigError, PubSubError

if TYPE_CHECKING:
    from pubsub_broker.config import BrokerConfig
    from pubsub_broker.monitoring.http_endpoints import HttpEndpoints

PROGRAM = "pubsub-broker"
KEY_COMMANDS: Final = ("keygen", "enroll", "revoke", "list")

USAGE = f"""Run a broker, which publishers and subscribers connect to.

Examples:
  {PROGRAM}
  {PROGRAM} --bind 10.0.0.1 --http 8080
  {PROGRAM} status

Usage:
  {PROGRAM} [options]

Other commands (see {PROGRAM} COMMAND --help):
  status    show a broker's clients, topics and losses
  check     ask whether a broker answers
  keygen    make the keys of a secure broker and of its first clients
  enroll    enroll one more client of a secure broker
  revoke    revoke a client
  list      show the clients of a secure broker

What:
{option_texts.CENTRALIZED_OPTION}
  --secure DIR                    accept only clients with keys enrolled in the folder
                                  DIR (see keygen), and encrypt all traffic
  --state FILE                    keep the clients in FILE; after a restart the status
                                  names the clients that are missing
  --registry URL                  share clients with the other brokers of a group by
                                  etcd: etcd://HOST,HOST,HOST, each HOST or HOST:PORT
  --group NAME                    with --registry: the name of the group of brokers

Where:
  --bind ADDRESS                  IP address or name of this host to serve; 0.0.0.0: all
                                  of IPv4; ::: all of IPv4 and IPv6; by default
                                  {defaults.LOOPBACK}, which only this host reaches
  --port PORT                     control port; 0: any free port
                                  [default: {defaults.CONTROL_PORT}]
  --advertise ADDRESS             HOST or HOST:PORT at which clients reach this broker,
                                  if that is not --bind and --port, as behind NAT
  --forward-port PORTS            with -c: port to forward events from, or a range such
                                  as 6000-6003; by default any free ports
  --http ADDRESS                  serve a page with clients, topics and losses: PORT,
                                  for this host only, or HOST:PORT
  --metrics-port ADDRESS          serve metrics for Prometheus at /metrics; ADDRESS as
                                  for --http; needs pubsub-broker[metrics]

How long:
{option_texts.COUNT_OPTION}: forwarded events with -c, else
                                  clients that joined or left
{option_texts.INDEFINITE_OPTION}, also with a config file;
                                  not with -m
  --lease SECONDS                 how long a silent client stays registered
                                  [default: {defaults.LEASE_S:g}]

Output:
{option_texts.LOG_OPTION}
{option_texts.BROKER_VERBOSE_OPTION}

Rare:
  --forwarders N                  with -c: threads that forward events [default: 1]
  --overflow POLICY               with -c: when the queue of a subscriber is full, drop
                                  its events, or block the publishers until there is
                                  room [default: drop]
{option_texts.QUEUE_OPTION}
{option_texts.BYTES_OPTIONS}
  --max-clients N                 most clients that may be registered; by default
                                  {defaults.MAX_CLIENTS}, or what the limit of open files allows
  --max-clients-per-address N     most clients of one IP address; by default half of
                                  --max-clients, and at least {defaults.MIN_CLIENTS_PER_ADDRESS}
  --max-registrations-per-second N
                                  from one IP address, after a burst of ten times N
                                  [default: {defaults.REGISTRATIONS_PER_SECOND:g}]
  --max-topics-per-client N       most topics of one client
                                  [default: {defaults.MAX_TOPICS_PER_CLIENT}]
  --allow-foreign-addresses       accept a publisher with another address than that
                                  of its connection, as behind NAT
  --owner-idle SECONDS            how long the owner of a topic (--strength) may be
                                  silent while other publishers of the topic are not;
                                  by default without a limit
  --registry-tls DIR              with --registry: connect to etcd over TLS, with the
                                  files ca.pem and, where etcd asks for them,
                                  client.pem and client-key.pem
  --registry-login FILE           with --registry: the user of etcd; FILE is TOML with
                                  user and password, and only its owner may read it
{option_texts.SERVER_END}
"""


def config_of(options: console_script.Options) -> BrokerConfig:
    """The broker's configuration from the options.

    Raises:
        ConfigError: an option is invalid.
    """
    from pubsub_broker.config import BrokerConfig

    def number(name: str) -> int | None:
        return (
            None
            if options[name] is None
            else console_script.whole_number(options, name)
        )

    limit = number("--count")
    config = BrokerConfig(
        centralized=options["--centralized"],
        indefinite=options["--indefinite"] or limit is None,
        max_event_count=defaults.MAX_EVENT_COUNT if limit is None else limit,
        bind=role_config.listen_host(options, "--bind"),
        port=console_script.port_number(options, "--port", minimum=0),
        lease_s=console_script.seconds(options, "--lease"),
        advertise=role_config.advertised(options, "--advertise"),
        forwarders=console_script.whole_number(options, "--forwarders"),
        forward_port=options["--forward-port"],
        queue_limit=console_script.whole_number(options, "--queue-limit"),
        **role_config.queue_arguments(options),
        overflow=options["--overflow"],
        max_clients=number("--max-clients"),
        max_clients_per_address=number("--max-clients-per-address"),
        max_registrations_per_second=console_script.whole_number(
            options, "--max-registrations-per-second"
        ),
        max_topics_per_client=console_script.whole_number(
            options, "--max-topics-per-client"
        ),
        allow_foreign_addresses=options["--allow-foreign-addresses"],
        owner_idle_s=(
            None
            if options["--owner-idle"] is None
            else console_script.seconds(options, "--owner-idle")
        ),
        state=options["--state"],
        secure=options["--secure"],
        registry=options["--registry"],
        group=options["--group"],
        registry_tls=options["--registry-tls"],
        registry_login=options["--registry-login"],
    )
    return role_config.validated(config, USAGE, {"max_event_count": "--count"})


def check_open_files_with(more: int, forwarders: int) -> None:
    """Check early that this process may open enough files for the broker and ``more``
    files.

    Raises:
        TooFewFiles: this process may open too few files.
    """
    from pubsub_broker.limits.capacity import files_of_broker
    from pubsub_common.net.open_files import check_open_files

    check_open_files("a broker", files_of_broker(forwarders=forwarders) + more)


def http_endpoints(options: console_script.Options) -> HttpEndpoints | None:
    """The HTTP endpoints that the options ask for; None without any.

    Raises:
        ConfigError: an option is invalid.
    """
    http, metrics = options["--http"], options["--metrics-port"]
    if http is None and metrics is None:
        return None
    from pubsub_broker.config import is_loopback
    from pubsub_broker.monitoring.http_endpoints import (
        HttpEndpoints,
        parse_listen_address,
    )

    endpoints = HttpEndpoints(
        parse_listen_address(http) if http is not None else None,
        parse_listen_address(metrics, "--metrics-port")
        if metrics is not None
        else None,
    )
    for where in (endpoints.http, endpoints.metrics):
        if options["--secure"] and where is not None and not is_loopback(where.host):
            raise ConfigError(
                f"{where.host}:{where.port} would serve the data that --secure "
                "protects over plain HTTP: give only a port, for this host, and use a "
                "TLS proxy"
            )
    return endpoints


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_broker import __version__

    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["status"]:
        from pubsub_broker.commands import status

        return status.main(words[1:])
    if words[:1] == ["check"]:
        from pubsub_broker.commands import check

        return check.main(words[1:])
    if words[:1] and words[0] in KEY_COMMANDS:
        from pubsub_broker.commands import keys

        return keys.main(words[0], words[1:])
    if words[:1] and not words[0].startswith("-"):
        return console_script.print_error(
            PROGRAM, _unknown(words[0]), console_script.EXIT_USAGE
        )
    options = console_script.parse(USAGE, words, PROGRAM, __version__)

    def work() -> None:
        from pubsub_broker.broker import Broker

        console_script.set_up_logging(
            PROGRAM,
            verbose=options["--verbose"],
            default="INFO",
            log_format=options["--log-format"],
        )
        config = config_of(options)
        endpoints = http_endpoints(options)
        if endpoints is not None:
            from pubsub_broker.monitoring.http_endpoints import HTTP_FILES

            check_open_files_with(HTTP_FILES, config.forwarder_count)
        broker = Broker.from_config(config)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(console_script.stop_on_signals(broker.stop))
                stack.enter_context(broker)
                if endpoints is not None:
                    stack.enter_context(
                        endpoints.serving(
                            broker.address, broker.port, broker.own_keys()
                        )
                    )
                broker.event_loop()
        except (PubSubError, OSError):
            raise
        except Exception as error:
            raise unexpected(error) from error

    return console_script.run(PROGRAM, work)


def _unknown(word: str) -> str:
    from pubsub_common.cli.words import unknown_command

    known = ("status", "check", *KEY_COMMANDS)
    return f"{unknown_command(word, known)}; try {PROGRAM} --help"


def unexpected(error: Exception) -> PubSubError:
    """One line for an unexpected error; the traceback goes to the debug log."""
    import logging
    import traceback

    logging.getLogger(__name__).debug("internal error", exc_info=error)
    where = ""
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        where = f" ({Path(frame.filename).name}:{frame.lineno})"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return PubSubError(f"internal error{where}, use -v for details: {said}")
