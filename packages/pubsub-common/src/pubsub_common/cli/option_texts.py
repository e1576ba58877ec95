"""Usage text of the options that several console scripts have."""

from __future__ import annotations

from typing import Final

from pubsub_common import defaults

TOPIC_OPTION: Final = """\
  -t TOPIC, --topic TOPIC         a topic; repeat for more: -t A -t B"""
KEYS_OPTION: Final = """\
  --keys FILE                     this client's keys, for a secure broker; else the
                                  file that PUBSUB_KEYS names"""
# What publishers and subscribers have alike (`role_config.client_arguments`).
CLIENT_OPTIONS: Final = f"""\
  -b HOST, --broker-address HOST  IP address or name of the broker, or HOST:PORT
                                  (of IPv6: [ADDRESS]:PORT); of several brokers all,
                                  with commas: the emptier one is taken, and
                                  another one when that is gone
                                  [default: {defaults.LOOPBACK}]
  --broker-port PORT              control port of the broker [default: {defaults.CONTROL_PORT}]
  --connect-timeout SECONDS       how long to try to reach the broker
                                  [default: {defaults.CONNECT_TIMEOUT_S:g}]
  --attach-timeout SECONDS        how long to wait at the start for the publishers and
                                  subscribers that are there already; 0: not at all
                                  [default: {defaults.ATTACH_TIMEOUT_S:g}]
{KEYS_OPTION}
  --name NAME                     name of this client in the broker's status, page, log
                                  and metrics; without it program@host:pid
  --address HOST                  this host's own IP address or name, instead of
                                  looking for the address
  --clock NAME                    clock of the time stamps, realtime or monotonic
                                  (one machine only) [default: realtime]"""
RUN_OPTIONS: Final = f"""\
  -i, --indefinite                go on until stopped
  -m N, --max-event-count N       stop after N events [default: {defaults.MAX_EVENT_COUNT}]"""
CENTRALIZED_OPTION: Final = """\
  -c, --centralized               events go through the broker; without it the
                                  broker is only a registry"""
QUEUE_OPTION: Final = f"""\
  --queue-limit N                 events kept for a connection that is slow
                                  [default: {defaults.QUEUE_LIMIT}]"""
# Where there is a queue (`role_config.queue_arguments`).
BYTES_OPTIONS: Final = f"""\
  --queue-bytes BYTES             the same in bytes [default: {defaults.QUEUE_BYTES}]
  --queue-total BYTES             bytes kept for all connections together
                                  [default: {defaults.QUEUE_TOTAL_BYTES}]
  --max-payload BYTES             the largest payload that is sent or received
                                  [default: {defaults.PAYLOAD_LIMIT_BYTES}]"""
MEASUREMENT_OPTIONS: Final = """\
  --details FILE                  write times and number of every event to FILE, as
                                  CSV compressed by gzip
  --report FILE                   write counts and figures to FILE, as JSON
  --safe-csv                      put an apostrophe before texts in CSV files that a
                                  spreadsheet would run as a formula"""
LOG_OPTION: Final = """\
  --log-format FORMAT             text, or json: an object a line [default: text]"""
VERBOSE_OPTION: Final = """\
  -v, --verbose                   say more about what happens"""
BROKER_VERBOSE_OPTION: Final = """\
  -v, --verbose                   show the control messages, an object of JSON a line"""
CONFIG_OPTION: Final = """\
  --config FILE                   read settings from FILE, which is TOML; else from
                                  the file that PUBSUB_CONFIG names"""
PRINT_OPTION: Final = """\
  --print-config                  show the settings that apply, as TOML"""
COMPLETION_OPTION: Final = """\
  --completion SHELL              show a script that completes options in SHELL: bash,
                                  zsh or fish"""
HELP_OPTIONS: Final = """\
  -h, --help                      show this text
  --version                       show the version"""

# Which setting holds, of programs that serve and of those that look for a broker.
PRECEDENCE: Final = "Options win over a file of settings."
PRECEDENCE_WITH_BROKER: Final = """\
Options win over PUBSUB_BROKER (HOST or HOST:PORT, or several with commas), and that
over a file of settings."""
# Of commands that are done at once, and of programs that run until they are stopped.
COMMAND_EXITS: Final = """\
Exit codes: 0 done; 1 failed; 2 options or settings that make no sense. Errors are one
line each."""
EXITS: Final = """\
Exit codes: 0 done, or stopped by a signal; 1 failed; 2 options or settings that make no
sense; 130 or 143 ended at once by a second signal. Errors are one line each."""

_LAST_OPTIONS: Final = "\n".join(
    (CONFIG_OPTION, PRINT_OPTION, COMPLETION_OPTION, HELP_OPTIONS)
)
# How the usage text ends of a program that looks for a broker, and of the broker's.
COMMON_OPTIONS: Final = (
    f"{VERBOSE_OPTION}\n{_LAST_OPTIONS}\n\n{PRECEDENCE_WITH_BROKER}\n\n{EXITS}"
)
SERVER_OPTIONS: Final = (
    f"{BROKER_VERBOSE_OPTION}\n{_LAST_OPTIONS}\n\n{PRECEDENCE}\n\n{EXITS}"
)

# What a file of settings may say for all programs at once.
SHARED_OPTIONS: Final = "\n".join(
    (
        "Usage: [-t TOPIC]...",
        *(TOPIC_OPTION, CLIENT_OPTIONS, RUN_OPTIONS, CENTRALIZED_OPTION),
        *(QUEUE_OPTION, BYTES_OPTIONS, MEASUREMENT_OPTIONS, LOG_OPTION),
        COMMON_OPTIONS,
    )
)
