"""Which version of the protocol two programs speak with each other."""

from __future__ import annotations

import pytest

from pubsub_common.protocol.versions import Versions, chosen_version, spoken


@pytest.mark.parametrize(
    ("client", "broker", "chosen"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 3), (2, 5), 3),
        ((2, 5), (1, 3), 3),
        ((1, 9), (3, 4), 4),
        ((3, 4), (1, 9), 4),
        ((1, 2), (3, 4), None),
        ((3, 4), (1, 2), None),
        ((4, 3), (1, 9), None),
    ],
)
def test_the_highest_version_of_both_is_chosen(
    client: Versions, broker: Versions, chosen: int | None
) -> None:
    assert chosen_version(client, broker) == chosen


def test_a_range_is_told_as_people_say_it() -> None:
    assert spoken((2, 2)) == "2"
    assert spoken((2, 5)) == "2 to 5"
