"""Blocks of cells, and parts of a sweep."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_perf.plan import cases, topologies
from pubsub_perf.plan.blocks import Block, Part, blocks_of, cases_of
from pubsub_perf.plan.cases import MODELS, Case, Load


def sweep(networks: int, repeats: int, models: tuple[str, ...] = MODELS) -> list[Case]:
    stars = [topologies.single_switch(4 + i) for i in range(networks)]
    return cases.cases(models, stars, Load(), repeats)


def names(blocks: list[Block]) -> list[str]:
    return [block.name for block in blocks]


def test_a_block_is_both_models_of_one_network_and_run() -> None:
    blocks = blocks_of(sweep(networks=2, repeats=2))

    assert names(blocks) == [
        "single-switch-4hosts",
        "single-switch-5hosts",
        "single-switch-4hosts (run 2)",
        "single-switch-5hosts (run 2)",
    ]
    assert [[case.model for case in block.cases] for block in blocks] == [
        list(MODELS)
    ] * 4


def test_cells_of_a_block_come_together_however_they_were_listed() -> None:
    listed = sorted(sweep(networks=3, repeats=2), key=lambda case: case.model)

    found = cases_of(blocks_of(listed))

    assert found == sweep(networks=3, repeats=2)


def test_one_model_makes_blocks_of_one_cell() -> None:
    assert blocks_of(sweep(1, 1, ("decentralized",))) == [
        Block(tuple(sweep(1, 1, ("decentralized",))))
    ]


def test_loads_that_differ_are_blocks_of_their_own() -> None:
    network = topologies.single_switch(4)
    listed = [
        Case(model, network, Load(payload_bytes=size))
        for model in MODELS
        for size in (100, 200)
    ]
    assert [len(block.cases) for block in blocks_of(listed)] == [2, 2]


@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 9))
def test_parts_have_each_cell_once_and_whole_blocks(
    networks: int, repeats: int, parts: int
) -> None:
    blocks = blocks_of(sweep(networks, repeats))

    shares = [Part(number, parts).of(blocks) for number in range(1, parts + 1)]

    dealt = Counter(block for share in shares for block in share)
    assert dealt == dict.fromkeys(blocks, 1)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 7), st.integers(1, 6))
def test_a_network_goes_round_the_parts(networks: int, parts: int) -> None:
    blocks = blocks_of(sweep(networks, repeats=parts))
    part_of = {
        block: number
        for number in range(1, parts + 1)
        for block in Part(number, parts).of(blocks)
    }
    for network in {block.cases[0].network for block in blocks}:
        runs = [block for block in blocks if block.cases[0].network == network]
        assert len({part_of[block] for block in runs}) == parts


def test_a_part_is_written_as_number_and_count() -> None:
    part = Part.parse("3/8")
    assert (part.number, part.parts, str(part)) == (3, 8, "3/8")


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "3/0", "a/b", "-1/8", "1/2/3"])
def test_something_else_is_no_part(text: str) -> None:
    with pytest.raises(ConfigError, match="like 3/8"):
        Part.parse(text)


def test_a_part_of_more_than_there_are_blocks_may_be_empty() -> None:
    assert Part(3, 3).of(blocks_of(sweep(networks=2, repeats=1))) == []
