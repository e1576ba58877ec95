"""``pubsub-perf view``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.protocol.listening import near_host, parse_listen_host
from pubsub_perf.commands.registry import PROGRAM, parse

USAGE: Final = f"""Serve the report in a folder to browsers until Ctrl-C, and print its address.
DIR is a folder that plot or analyze wrote to, or a pack with that folder beside it. Only the
files that plot and analyze write are served.

Examples:
  {PROGRAM} view my-sweep
  {PROGRAM} view my-sweep --port 8080
  {PROGRAM} view my-sweep --bind 10.0.0.1

Usage:
  {PROGRAM} view DIR [options]

Options:
  --bind HOST    IP address to listen at; any computer that reaches it can read the
                 report [default: {defaults.LOOPBACK}]
  --port PORT    port to listen at; 0 takes a free one [default: 8000]
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""


def run(words: Sequence[str]) -> int:
    """Serve the report that ``words`` name until a signal; returns the exit code.

    Raises:
        ConfigError: the folder has no report.
        CannotListen: the port cannot be opened.
    """
    options = parse(USAGE, words)
    host = parse_listen_host(options["--bind"])
    port = console_script.port_number(options, "--port", minimum=0)
    from pubsub_common.net.http_server import HttpServer
    from pubsub_perf.report.served_files import ReportFiles
    from pubsub_perf.results.unpacking import report_folder

    files = ReportFiles(report_folder(Path(options["DIR"])))
    for line in files.left_out():
        console_script.print_message(PROGRAM, line)
    stopped = threading.Event()
    with (
        console_script.stop_on_signals(stopped.set),
        HttpServer(host, port, files, PROGRAM) as server,
    ):
        print(f"http://{near_host(host)}:{server.port}/", flush=True)
        stopped.wait()
    return console_script.EXIT_OK
