"""Formats log records as JSON, one object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pubsub_common.text.printable import cut


class JsonFormatter(logging.Formatter):
    """``time`` (UTC, ISO 8601), ``level``, ``program`` and ``message``; with an
    exception also ``exception``, its traceback. A record that has ``fields`` (given as
    ``extra``) has these instead of the message."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        own = {"level": record.levelname, "program": self._program}
        more = fields_of(record)
        if more is not None:
            return json_record(record, own | more)
        fields = own | {"message": cut(record.getMessage())}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json_record(record, fields)


def fields_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """What a record is for programs, as an object; None: it is a text."""
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    return fields


def json_record(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    """An object on a line, with the time of a record and these fields."""
    time = datetime.fromtimestamp(record.created, UTC)
    # Only ASCII: a collector may cut lines at any of the line ends of Unicode, and a
    # terminal does what control characters say.
    return json.dumps({"time": time.isoformat(timespec="microseconds"), **fields})


def json_line(program: str, text: str, level: str) -> str | None:
    """A message of the program as a line of its JSON log; None: its log is not JSON."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            record = logging.makeLogRecord({"levelname": level, "msg": text})
            return JsonFormatter(program).format(record)
    return None
