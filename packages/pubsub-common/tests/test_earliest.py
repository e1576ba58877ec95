"""The first of several times."""

from __future__ import annotations

import pytest

from pubsub_common.earliest import earliest


@pytest.mark.parametrize(
    ("times", "first"),
    [
        ((), None),
        ((None, None), None),
        ((1.0, None), 1.0),
        ((None, 1.0), 1.0),
        ((2.0, 1.0, None, 3.0), 1.0),
        ((0.0, 1.0), 0.0),
    ],
)
def test_a_time_that_never_comes_is_not_the_first(
    times: tuple[float | None, ...], first: float | None
) -> None:
    assert earliest(*times) == first
