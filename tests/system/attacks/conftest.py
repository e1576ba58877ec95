"""A secure system of each model, for attackers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.attack_tools import MakeScene, Scene, Vault
from support.running_roles import MODELS, Program

from pubsub_common.protocol.messages import Model


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    model: Model = request.param
    return model


@pytest.fixture
def make_scene(model: Model, tmp_path: Path) -> Iterator[MakeScene]:
    """Makes a secure system of the model, given its policy and what is to be done with
    the broker's folder before it starts."""
    with contextlib.ExitStack() as stack:

        def make(
            policy: str | None = None,
            before: Callable[[Vault], None] = lambda _vault: None,
        ) -> Scene:
            vault = Vault(tmp_path / "secure", policy)
            before(vault)
            return Scene(model, vault, stack)

        yield make


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts console scripts, and kills those that still run after the test."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *argv: object) -> Program:
            program = Program(tmp_path, name, *argv)
            stack.callback(program.kill)
            return program

        yield start
