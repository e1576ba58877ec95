"""The meaning of etcd's answers and failures."""

from __future__ import annotations

import json

import pytest

from pubsub_broker.registry.etcd.answers import (
    KeyValue,
    LeaseAnswer,
    RangeAnswer,
    WatchAnswer,
    decode,
    decode_streamed,
    failure_in,
)
from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdError,
    EtcdRefused,
    EtcdUnreachable,
    LeaseGone,
    TokenRejected,
)


def test_integers_are_text_and_what_is_empty_is_left_out() -> None:
    # The text of 3.4.23.
    text = (
        b'{"header":{"cluster_id":"4126479099955521869","revision":"3"},"kvs":[{"key":'
        b'"L3AvYQ==","create_revision":"2","mod_revision":"3","version":"2","value":"djI="}],'
        b'"count":"1"}'
    )
    answer = decode(text, RangeAnswer)
    assert answer.header.cluster_id == "4126479099955521869"
    assert answer.kvs == [KeyValue(b"/p/a", b"v2", 3, 2)]
    assert decode(b"{}", RangeAnswer).kvs == []
    assert decode_streamed(b'{"result":{"ID":"77"}}', LeaseAnswer).TTL == 0


def test_a_compacted_watch_has_no_revision() -> None:
    line = b'{"result":{"header":{},"canceled":true,"compact_revision":"5"}}'
    assert decode_streamed(line, WatchAnswer).compact_revision == 5


@pytest.mark.parametrize(
    ("message", "code", "status", "error", "text"),
    [
        (
            "etcdserver: mvcc: required revision has been compacted",
            11,
            400,
            Compacted,
            "compacted",
        ),
        ("etcdserver: requested lease not found", 5, 404, LeaseGone, "not found"),
        ("etcdserver: invalid auth token", 16, 401, TokenRejected, "auth"),
        ("etcdserver: revision of auth store is old", 3, 400, TokenRejected, "auth"),
        ("etcdserver: permission denied", 7, 403, EtcdRefused, "permission denied"),
        (
            "etcdserver: user name is empty",
            3,
            400,
            EtcdRefused,
            "a user and a password",
        ),
        ("etcdserver: mvcc: database space exceeded", 8, 429, EtcdRefused, "is full"),
        (
            "etcdserver: too many requests",
            8,
            429,
            EtcdUnreachable,
            r"too many|timed out|exceeded|changed|something",
        ),
        ("etcdserver: no leader", 14, 503, EtcdUnreachable, "no leader"),
        (
            "etcdserver: request timed out",
            14,
            503,
            EtcdUnreachable,
            r"too many|timed out|exceeded|changed|something",
        ),
        (
            "context deadline exceeded",
            4,
            504,
            EtcdUnreachable,
            r"too many|timed out|exceeded|changed|something",
        ),
        (
            "etcdserver: leader changed",
            14,
            503,
            EtcdUnreachable,
            r"too many|timed out|exceeded|changed|something",
        ),
        (
            "something new",
            2,
            500,
            EtcdUnreachable,
            r"too many|timed out|exceeded|changed|something",
        ),
        ("something \x1b[2J\nnew", 3, 400, EtcdRefused, r"something \\x1b\[2J\\nnew"),
    ],
)
def test_a_failure_says_whether_to_try_again(
    message: str, code: int, status: int, error: type[EtcdError], text: str
) -> None:
    for body in (
        {"error": message, "message": message, "code": code},  # 3.4, 3.5
        {"message": message, "code": code, "details": []},  # 3.6
    ):
        failure = failure_in(status, json.dumps(body).encode())
        assert type(failure) is error
        with pytest.raises(error, match=text):
            raise failure
        assert str(failure).isprintable()


def test_a_failure_in_a_stream_is_one_too() -> None:
    line = b'{"error":{"grpc_code":16,"http_code":401,"message":"invalid auth token"}}'
    with pytest.raises(TokenRejected):
        decode_streamed(line, LeaseAnswer)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kvs":[{"key":"?"}]}', b"\xff"])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(EtcdRefused, match="not an answer of etcd"):
        decode(data, RangeAnswer)
