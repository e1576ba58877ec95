"""A status report as text."""

from __future__ import annotations

from pubsub_broker.journal import missed_lines
from pubsub_broker.statustext import render
from pubsub_common.messages import ClientStatus, Status


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
        "centralized broker, up for 61 s; 2 clients, 1000 messages forwarded, "
        "3 requests refused",
        "  publisher 10.0.0.1:5556: A, B; heard 0.5 s ago",
        "  subscriber 10.0.0.2: A, B; heard 1.0 s ago; lost 12 of A, 1 of B",
        "expected back: 1",
        "  subscriber 10.0.0.3: A; last known 90.0 s ago",
    ]


def test_losses_are_a_line_for_each_topic() -> None:
    assert missed_lines("10.0.0.2", {"A": 12, "B": 1}) == [
        "subscriber 10.0.0.2 lost 12 events of A",
        "subscriber 10.0.0.2 lost 1 events of B",
    ]


def test_of_many_topics_the_rest_is_one_line() -> None:
    lines = missed_lines("10.0.0.2", {str(number): 2 for number in range(4000)})

    assert len(lines) == 6
    assert lines[-1] == "subscriber 10.0.0.2 lost 7990 events of 3995 more topics"
