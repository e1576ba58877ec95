"""Formats log records as JSON, one object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from pubsub_common.printable import cut


class JsonFormatter(logging.Formatter):
    """``time`` (UTC, ISO 8601), ``level``, ``program`` and ``message``; with an
    exception also ``exception``, its traceback."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="microseconds"
            ),
            "level": record.levelname,
            "program": self._program,
            "message": cut(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        # Only ASCII: a collector may cut lines at any of the line ends of Unicode, and a
        # terminal does what control characters say.
        return json.dumps(fields)


def json_line(program: str, text: str, level: str) -> str | None:
    """What a program says besides its log, in the form of that; None: its log is no
    JSON."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            record = logging.makeLogRecord({"levelname": level, "msg": text})
            return JsonFormatter(program).format(record)
    return None
