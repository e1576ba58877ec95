"""A status report as text."""

from __future__ import annotations

from pubsub_broker.monitoring.event_log import loss_lines
from pubsub_broker.monitoring.status_text import render
from pubsub_common.protocol.messages import ClientStatus, Latency, Status


def test_each_client_has_a_line_with_what_it_lost() -> None:
    status = Status(
        id=1,
        epoch=2,
        model="centralized",
        uptime_s=61.2,
        clients=[
            ClientStatus(
                role="publisher",
                session=1,
                address="10.0.0.1:5556",
                topics=["A", "B"],
                idle_s=0.5,
            ),
            ClientStatus(
                role="subscriber",
                session=2,
                address="10.0.0.2",
                topics=["A", "B"],
                idle_s=1.0,
                lost={"A": 12, "B": 1},
            ),
        ],
        expected=[
            ClientStatus(
                role="subscriber",
                session=3,
                address="10.0.0.3",
                topics=["A"],
                idle_s=90.0,
            )
        ],
        forwarded=1000,
        rejected=3,
    )

    assert render(status).splitlines() == [
        "centralized broker, up for 61 s; 1 publisher, 1 subscriber, 2 topics",
        "1000 messages forwarded, 16.3 a second since its start (all topics together); "
        "3 requests rejected",
        "  publisher 10.0.0.1:5556: A, B; last seen 0.5 s ago",
        "  subscriber 10.0.0.2: A, B; last seen 1.0 s ago; lost 12 of A, 1 of B",
        "topics: 2",
        "  A: 1 publisher, 1 subscriber; 12 lost",
        "  B: 1 publisher, 1 subscriber; 1 lost",
        "slow consumers: 1",
        "  10.0.0.2: 13 events lost",
        "expected back: 1",
        "  subscriber 10.0.0.3: A; last known 90.0 s ago",
    ]


def test_rates_and_latencies_are_told() -> None:
    status = Status(
        id=1,
        epoch=2,
        model="decentralized",
        uptime_s=9.0,
        clients=[
            ClientStatus(
                role="publisher",
                session=1,
                address="10.0.0.1:5556",
                topics=["A", "B"],
                idle_s=0.5,
                rates={"A": 1234.56},
            ),
            ClientStatus(
                role="subscriber",
                session=2,
                address="10.0.0.2",
                topics=["A"],
                idle_s=1.0,
                lost={"A": 12},
                latency=Latency(
                    count=2469, p50_ns=64_200, p99_ns=1_310_000, max_ns=9_000_000
                ),
            ),
        ],
    )

    assert render(status).splitlines()[2:6] == [
        "  publisher 10.0.0.1:5556: A, B; last seen 0.5 s ago",
        "  subscriber 10.0.0.2: A; last seen 1.0 s ago; lost 12 of A; "
        "latency p50 64.2 us, p99 1.31 ms, max 9 ms of 2469 events",
        "topics: 2",
        "  A: 1 publisher, 1 subscriber; 1,234.6 events/s; 12 lost",
    ]
    assert render(status).splitlines()[6] == (
        "  B: 1 publisher, 0 subscribers; 0.0 events/s"
    )


def test_a_rate_is_told_instead_of_the_mean() -> None:
    status = Status(id=1, epoch=2, model="centralized", uptime_s=10.0, forwarded=1)

    assert "1 message forwarded, 2.5 a second now" in render(status, 2.5)


def test_a_decentralized_broker_claims_no_rate() -> None:
    text = render(Status(id=1, epoch=2, model="decentralized", uptime_s=10.0))

    assert text.splitlines()[1] == (
        "events do not pass through this broker; 0 requests rejected"
    )
    assert "a second" not in text


def test_what_would_control_a_terminal_is_shown() -> None:
    client = ClientStatus(
        role="publisher", session=1, address="a", topics=["\x1b[2J"], idle_s=0.0
    )
    status = Status(
        id=1, epoch=2, model="decentralized", uptime_s=10.0, clients=[client]
    )

    text = render(status)

    assert "\x1b" not in text
    assert "publisher a: \\x1b[2J; last seen" in text


def test_losses_are_a_line_for_each_topic() -> None:
    assert loss_lines("10.0.0.2", {"A": 12, "B": 1}) == [
        "subscriber 10.0.0.2 lost 12 events of A",
        "subscriber 10.0.0.2 lost 1 event of B",
    ]


def test_of_many_topics_the_rest_is_one_line() -> None:
    lines = loss_lines("10.0.0.2", {str(number): 2 for number in range(4000)})

    assert len(lines) == 6
    assert lines[-1] == "subscriber 10.0.0.2 lost 7990 events of 3995 more topics"


def test_one_event_has_a_latency_and_no_percentiles() -> None:
    latency = Latency(count=1, p50_ns=64_200, p99_ns=64_200, max_ns=64_200)
    one = ClientStatus(
        role="subscriber",
        session=2,
        address="10.0.0.2",
        topics=["A"],
        idle_s=1.0,
        lost={"A": 1},
        latency=latency,
    )
    status = Status(
        id=1, epoch=2, model="decentralized", uptime_s=9.0, clients=[one], rejected=1
    )

    text = render(status)

    assert "; latency 64.2 us of 1 event\n" in text
    assert "  10.0.0.2: 1 event lost" in text
    assert "; 1 request rejected" in text
