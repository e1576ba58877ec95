"""The corpus and some thousand changed inputs, in seconds; `make fuzz` runs a million."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from pathlib import Path

import fuzz_seeds as seeds
import pytest
from fuzz_loop import CORPUS, Coverage, fuzz, name_of, stored
from fuzz_targets import TARGETS, Target

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import decode_reply, decode_request
from pubsub_common.protocol.undecodable import explain_undecodable

RUNS = 400


def by_name(target: Target) -> str:
    return target.name


@pytest.mark.parametrize("target", TARGETS, ids=by_name)
def test_nothing_but_the_declared_error_comes_of_any_input(
    target: Target, tmp_path: Path
) -> None:
    inputs = len(stored(target)) + RUNS

    outcome = fuzz(target, inputs, seed=1, crashes=tmp_path)

    assert outcome.crashes == []
    assert outcome.inputs == inputs


@pytest.mark.parametrize("target", TARGETS, ids=by_name)
def test_seeds_are_valid(target: Target) -> None:
    """So that changes begin with accepted inputs."""
    accepted = []
    for seed in target.seeds:
        try:
            accepted.append(target.run(seed))
        except target.declared:
            # A frame of another kind, for targets that accept any.
            continue
    assert accepted
    assert any(accepted)


@pytest.mark.parametrize(
    ("union", "instances"),
    [(messages.Request, seeds.REQUESTS), (messages.Reply, seeds.REPLIES)],
)
def test_each_message_and_each_of_its_fields_is_among_the_seeds(
    union: object, instances: Iterable[messages.Request | messages.Reply]
) -> None:
    written = {
        (type(message), name)
        for message in instances
        for name in message.__struct_fields__
        if f'"{name}":'.encode() in messages.encode(message)
    }

    assert written == {
        (kind, name)
        for kind in typing.get_args(union)
        for name in kind.__struct_fields__
    }


@pytest.mark.parametrize("target", TARGETS, ids=by_name)
def test_there_is_a_corpus_of_small_files(target: Target) -> None:
    files = [*(CORPUS / target.name).glob("*.bin")]

    assert len(files) <= 60
    assert all(path.stat().st_size <= 16_384 for path in files)
    for path in files:
        assert name_of(path.read_bytes()) == path.name


def test_every_corpus_belongs_to_a_target() -> None:
    folders = {path.name for path in CORPUS.iterdir()}

    assert folders <= {target.name for target in TARGETS}


# The loop itself


def brittle(data: bytes) -> object:
    """Fails when three conditions hold together, each on its own line."""
    return explain_undecodable(data, ProtocolError("x")) and _brittle(data)


def _brittle(data: bytes) -> object:
    request = decode_request(data)
    if isinstance(request, messages.Disconnect) and "A" in request.next_sequences:
        raise KeyError("A")
    return request


def test_the_loop_finds_an_error_and_keeps_its_input(tmp_path: Path) -> None:
    [ends] = (each for each in seeds.REQUEST_SEEDS if b"next_sequences" in each)
    target = Target("brittle", brittle, [seeds.REQUEST_SEEDS[0], ends])

    outcome = fuzz(target, 3000, 1, corpus=tmp_path, crashes=tmp_path / "crashes")

    assert [crash.partition(" ")[0] for crash in outcome.crashes] == ["KeyError"]
    [kept] = (tmp_path / "crashes" / "brittle").glob("*.bin")
    with pytest.raises(KeyError):
        brittle(kept.read_bytes())
    assert "KeyError" in kept.with_suffix(".txt").read_text("utf-8")


def test_an_input_that_never_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz_loop.HANG_S", 1)
    target = Target("endless", _endless, [b"x"])

    outcome = fuzz(target, 1, 1, corpus=tmp_path, crashes=tmp_path)

    assert [crash.partition(" ")[0] for crash in outcome.crashes] == ["Hang"]


def _endless(_data: bytes) -> object:
    while True:
        pass


def test_new_words_and_new_lines_are_news_once() -> None:
    coverage = Coverage(Target("reply", decode_reply, []))

    assert coverage.run(b"{") == (True, True)
    assert coverage.run(b"{") == (False, False)
    assert coverage.run(b'{"type":"alive","id":"1"}') == (False, True)
    assert coverage.run(b'{"type":"alive","id":"2"}') == (False, False)
    assert coverage.run(seeds.REPLY_SEEDS[0])[1]
    assert coverage.declared == 4


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        inputs: list[bytes] = []
        target = Target("same", inputs.append, seeds.REQUEST_SEEDS)
        fuzz(target, 200, 7, corpus=tmp_path, crashes=tmp_path)
        seen.append(inputs)

    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 150


def test_what_reaches_new_lines_is_kept_in_files(tmp_path: Path) -> None:
    target = dataclasses.replace(TARGETS[0], seeds=[seeds.EVENT_SEEDS[0]])

    fuzz(target, 2000, 1, corpus=tmp_path, crashes=tmp_path, keep=True)

    assert len(stored(target, tmp_path)) > 1
    assert stored(target, tmp_path)[0] == seeds.EVENT_SEEDS[0]
