"""Usage text of the options that several console scripts have."""

from __future__ import annotations

from typing import Final

from pubsub_common import defaults

TOPIC_OPTION: Final = """\
  -t TOPIC, --topic TOPIC         the topic, as an option; repeat for more"""
KEYS_OPTION: Final = """\
  --keys FILE                     the keys of this client, for a secure broker;
                                  by default the file that PUBSUB_KEYS names"""
BROKER_OPTION: Final = f"""\
  -b HOST, --broker-address HOST  the broker: an IP address or a name, HOST:PORT (IPv6:
                                  [ADDRESS]:PORT), or pubsub://HOST:PORT/TOPIC; several
                                  brokers with commas: the client takes the one with
                                  fewer clients, and another one when that one fails
                                  [default: {defaults.LOOPBACK}]"""
BROKER_PORT_OPTION: Final = f"""\
  --broker-port PORT              control port of the broker [default: {defaults.CONTROL_PORT}]"""
CONTEXT_OPTION: Final = """\
  --context NAME                  use the options in the table [context.NAME] of the
                                  config file"""
ADDRESS_OPTION: Final = """\
  --address HOST                  IP address or name of this host, for other hosts;
                                  by default the client finds it"""
NAME_OPTION: Final = """\
  --name NAME                     name of this client in the broker's status, page, log
                                  and metrics; by default program@host:pid"""
# How long a client waits.
WAIT_OPTIONS: Final = f"""\
  --connect-timeout SECONDS       how long to try to reach the broker
                                  [default: {defaults.CONNECT_TIMEOUT_S:g}]
  --attach-timeout SECONDS        how long to wait at the start for the publishers and
                                  subscribers that exist already; 0: no wait
                                  [default: {defaults.ATTACH_TIMEOUT_S:g}]"""
CLOCK_OPTION: Final = """\
  --clock CLOCK                   clock of the time stamps, realtime or monotonic
                                  (one machine only) [default: realtime]"""
# What publishers and subscribers have alike (`role_config.client_arguments`), in groups.
WHERE_OPTIONS: Final = (
    f"{BROKER_OPTION}\n{CONTEXT_OPTION}\n{KEYS_OPTION}\n{ADDRESS_OPTION}\n{NAME_OPTION}"
)
RARE_CLIENT_OPTIONS: Final = f"{BROKER_PORT_OPTION}\n{CLOCK_OPTION}"
CLIENT_OPTIONS: Final = f"{WHERE_OPTIONS}\n{WAIT_OPTIONS}\n{RARE_CLIENT_OPTIONS}"
INDEFINITE_OPTION: Final = """\
  -i, --indefinite                continue until stopped"""
COUNT_OPTION: Final = """\
  -m N, --count N                 stop after N events"""
CENTRALIZED_OPTION: Final = """\
  -c, --centralized               forward events through the broker; by default
                                  publishers send them to subscribers directly"""
QUEUE_OPTION: Final = f"""\
  --queue-limit N                 events kept for a slow connection
                                  [default: {defaults.QUEUE_LIMIT}]"""
SHARED_MEMORY_OPTION: Final = """\
  --shared-memory MODE            with the extra shm, events of 16 KiB and more pass by
                                  shared memory on one host: auto (not if the broker is
                                  secure), on or off [default: auto]"""
# Where there is a queue (`role_config.queue_arguments`).
BYTES_OPTIONS: Final = f"""\
  --queue-bytes BYTES             bytes kept for a slow connection
                                  [default: {defaults.QUEUE_BYTES}]
  --queue-total BYTES             bytes kept for all connections together
                                  [default: {defaults.QUEUE_TOTAL_BYTES}]
  --max-payload BYTES             the largest payload that is sent or received
                                  [default: {defaults.PAYLOAD_LIMIT_BYTES}]"""
MEASUREMENT_OPTIONS: Final = """\
  --details FILE                  write the times and the number of every event to FILE,
                                  as CSV compressed by gzip
  --report FILE                   write counts and latencies to FILE, as JSON
  --safe-csv                      put an apostrophe before texts in CSV files that a
                                  spreadsheet would run as a formula"""
LOG_OPTION: Final = """\
  --log-format FORMAT             format of the log: text, or json, one object a line
                                  [default: text]"""
VERBOSE_OPTION: Final = """\
  -v, --verbose                   log more"""
BROKER_VERBOSE_OPTION: Final = """\
  -v, --verbose                   log the control messages, one JSON object a line"""
CONFIG_OPTION: Final = """\
  --config FILE                   read options from FILE, which is TOML; by default
                                  from the file that PUBSUB_CONFIG names"""
PRINT_OPTION: Final = """\
  --print-config                  show the options that apply, as TOML"""
COMPLETION_OPTION: Final = """\
  --completion SHELL              show a script that completes options in SHELL: bash,
                                  zsh or fish"""
HELP_OPTIONS: Final = """\
  --man                           show the manual page, for man -l -
  -h, --help                      show this text
  -V, --version                   show the version"""

# Which setting holds, of programs that serve and of those that look for a broker.
PRECEDENCE: Final = "Options on the command line override a config file."
PRECEDENCE_WITH_BROKER: Final = """\
Options on the command line override a context, a context overrides PUBSUB_BROKER (a
broker, as for -b), and PUBSUB_BROKER overrides the other tables of a config file."""
# Of commands that are done at once, and of programs that run until they are stopped.
COMMAND_EXITS: Final = """\
Exit codes: 0 done; 1 failed; 2 wrong options or config file. Each error is one line."""
EXITS: Final = """\
Exit codes: 0 done, or stopped by a signal; 1 failed; 2 wrong options or config file;
130 or 143 ended at once by a second signal. Each error is one line."""

# The last group of a program's options.
CONFIG_OPTIONS: Final = "\n".join(
    (CONFIG_OPTION, PRINT_OPTION, COMPLETION_OPTION, HELP_OPTIONS)
)
# How the usage text ends of a program that looks for a broker, and of the broker's.
COMMON_END: Final = f"{CONFIG_OPTIONS}\n\n{PRECEDENCE_WITH_BROKER}\n\n{EXITS}"
SERVER_END: Final = f"{CONFIG_OPTIONS}\n\n{PRECEDENCE}\n\n{EXITS}"

# What a file of settings may say for all programs at once.
SHARED_OPTIONS: Final = "\n".join(
    (
        *(TOPIC_OPTION, CLIENT_OPTIONS, COUNT_OPTION, INDEFINITE_OPTION),
        *(CENTRALIZED_OPTION, QUEUE_OPTION, BYTES_OPTIONS, MEASUREMENT_OPTIONS),
        *(LOG_OPTION, VERBOSE_OPTION, COMMON_END),
    )
)
