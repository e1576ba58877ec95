"""``pubsub-broker check``: whether a broker answers, for service managers. Shell."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_common import cli, defaults

PROGRAM = "pubsub-broker check"

USAGE = f"""Ask whether a broker answers. Exits with 0 when it does, else with 1 and one line.

Usage:
  {PROGRAM} [options]

Options:
  -b HOST, --broker-address HOST  IP address of the broker
                                  [default: {defaults.LOOPBACK}]
  --broker-port PORT              its control port [default: {defaults.CONTROL_PORT}]
  --timeout SECONDS               how long to wait for its answer [default: 5]
{cli.COMMON_OPTIONS}
"""


def main(argv: Sequence[str]) -> int:
    """Parse what follows ``check``, ask, say one line, and return the exit code."""
    from pubsub_broker import __version__

    # The word that led here is part of the usage, as a command.
    options = cli.parse(USAGE, ["check", *argv], PROGRAM, __version__)

    def work() -> None:
        from pubsub_broker.status_command import ask
        from pubsub_common.endpoints import validate_host

        cli.set_up_logging(PROGRAM, verbose=options["--verbose"])
        host = validate_host(options["--broker-address"])
        port = cli.port_number(options, "--broker-port")
        status = ask(host, port, cli.seconds(options, "--timeout"))
        print(
            f"the {status.model} broker at {host}:{port} answers, "
            f"up for {status.uptime_s:.0f} s"
        )

    return cli.run(PROGRAM, work)
