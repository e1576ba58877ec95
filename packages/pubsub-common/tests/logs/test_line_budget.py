"""Lines about peers are bounded in bytes, for each address and in all; the rest is counted."""

from __future__ import annotations

from pubsub_common.defaults import LOG_INTERVAL_S
from pubsub_common.logs.line_budget import LineBudget

LINE = "x" * 100


def allowed(budget: LineBudget, address: str | None, lines: int, now: float) -> int:
    return sum(budget.allows(address, LINE, now) for _ in range(lines))


def test_an_address_has_lines_of_so_many_bytes() -> None:
    budget = LineBudget(each=1000, together=5000)

    assert allowed(budget, "10.0.0.1", 25, 0.0) == 10
    # It leaves others theirs.
    assert allowed(budget, "10.0.0.2", 3, 0.0) == 3
    assert budget.summary(LOG_INTERVAL_S - 0.1) is None
    assert budget.summary(LOG_INTERVAL_S) == (
        "15 more lines about clients in 10 s are left out, all about 10.0.0.1"
    )
    assert allowed(budget, "10.0.0.1", 25, LOG_INTERVAL_S) == 10


def test_all_together_have_lines_of_so_many_bytes() -> None:
    budget = LineBudget(each=1000, together=5000)

    written = [allowed(budget, f"10.0.0.{n}", 9 + n, 0.0) for n in range(8)]

    assert sum(written) == 50
    assert budget.summary(LOG_INTERVAL_S) == (
        "50 more lines about clients in 10 s are left out, 16 of them about 10.0.0.7"
    )


def test_a_line_need_not_be_made_when_one_was_left_out() -> None:
    budget = LineBudget(each=1000, together=5000)
    assert not budget.is_spent("10.0.0.1", 0.0)
    assert budget.allows("10.0.0.1", LINE, 0.0, more=850)
    assert not budget.is_spent("10.0.0.1", 0.0)
    assert not budget.allows("10.0.0.1", LINE, 0.0)

    assert budget.is_spent("10.0.0.1", 0.0)
    assert not budget.is_spent("10.0.0.2", 0.0)
    assert budget.summary(LOG_INTERVAL_S) == (
        "2 more lines about clients in 10 s are left out, all about 10.0.0.1"
    )
    assert not budget.is_spent("10.0.0.1", LOG_INTERVAL_S)


def test_nothing_is_said_of_nothing() -> None:
    budget = LineBudget()
    assert budget.summary(0.0) is None
    assert budget.allows(None, LINE, 0.0)
    assert budget.summary(2 * LOG_INTERVAL_S) is None


def test_what_is_left_out_is_counted_until_it_is_said() -> None:
    """However late that is: a loop may be held up."""
    budget = LineBudget(each=100, together=5000)
    assert allowed(budget, None, 3, 0.0) == 1
    assert allowed(budget, None, 3, 5 * LOG_INTERVAL_S) == 0

    assert budget.summary(5 * LOG_INTERVAL_S) == (
        "5 more lines about clients in 10 s are left out, all about unknown addresses"
    )
    assert budget.summary(9 * LOG_INTERVAL_S) is None
    assert allowed(budget, None, 3, 9 * LOG_INTERVAL_S) == 1


def test_a_line_counts_with_the_bytes_that_it_takes() -> None:
    budget = LineBudget(each=1000, together=5000)

    assert budget.allows("10.0.0.1", "\N{SNOWMAN}" * 333, 0.0)
    assert not budget.allows("10.0.0.1", "xx", 0.0)


def test_addresses_without_end_are_counted_together() -> None:
    budget = LineBudget(each=1000, together=10**9)
    for number in range(100_000):
        budget.allows(str(number), LINE, 0.0)

    assert len(budget._addresses) <= 1001
    said = budget.summary(LOG_INTERVAL_S)
    assert said is not None
    assert said.endswith("all about unknown addresses")
