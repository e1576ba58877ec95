"""Figures from a member of etcd."""

from __future__ import annotations

import contextlib
import http.client
import re
from typing import Any, Final

import msgspec

from pubsub_common.errors import PubSubError
from pubsub_perf.hosts.etcd_program import EtcdMember

_TIMEOUT_S: Final = 10.0
_STARTED: Final = re.compile(r"^grpc_server_started_total\{.*\} ([0-9.e+]+)$", re.M)


def requests_served(member: EtcdMember) -> int:
    """How many requests clients have made of it, streams counted once.

    Raises:
        PubSubError: it does not answer.
    """
    text = _get(member, "GET", "/metrics", b"")
    return round(sum(float(found) for found in _STARTED.findall(text)))


def revision(member: EtcdMember) -> int:
    """The revision of its data, which each change of a key moves on.

    Raises:
        PubSubError: it does not answer.
    """
    return int(_status(member)["header"]["revision"])


def data_bytes(member: EtcdMember) -> int:
    """The size of its data.

    Raises:
        PubSubError: it does not answer.
    """
    return int(_status(member)["dbSizeInUse"])


def _status(member: EtcdMember) -> dict[str, Any]:
    text = _get(member, "POST", "/v3/maintenance/status", b"{}")
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


def _get(member: EtcdMember, method: str, path: str, body: bytes) -> str:
    connection = http.client.HTTPConnection(
        member.address, member.client_port, timeout=_TIMEOUT_S
    )
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise PubSubError(f"etcd does not answer: {error}") from error
