"""Formats log records as lines for people."""

from __future__ import annotations

import logging
from typing import Final

from pubsub_common.printable import cut, printable

# What begins a line of a traceback, which no log line begins with.
_INDENT: Final = "    "


class LineFormatter(logging.Formatter):
    """``program: message`` on one line, whatever the message holds, as it may have text of
    strangers (`pubsub_common.printable`). A traceback follows on lines that are indented.
    A record that has ``fields`` is an object of JSON here too."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The line, with those of a traceback behind it."""
        fields = getattr(record, "fields", None)
        if fields is not None:
            # Else that is not loaded.
            from pubsub_common.logs.json_formatter import json_record

            return json_record(record, fields)
        lines = [f"{self._program}: {printable(cut(record.getMessage()))}"]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += [_INDENT + printable(cut(line)) for line in trace.split("\n")]
        return "\n".join(lines)
