"""Systems of each model, for attackers; and the table of results.

``PUBSUB_ATTACKS_OUT`` names the file that gets the table: ``make attacks``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import attack_rows
from support.attack_rows import Figures, Results
from support.attack_tools import MakeScene, Scene, Vault
from support.hostile_system import HostileSystem, Keys
from support.running_roles import MODELS, Program

from pubsub_common.protocol.messages import Model

_results = Results()


@pytest.fixture(params=MODELS)
def model(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Model:
    model: Model = request.param
    record_property("model", model)
    return model


@pytest.fixture(params=("plain", "secure"))
def keys(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Keys:
    keys: Keys = request.param
    record_property("keys", keys)
    return keys


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Iterator[Figures]:
    """Takes the measurements of a test, for its row of the table."""
    figures = Figures()
    yield figures
    record_property("figures", figures.encoded())


@pytest.fixture
def hostile(
    model: Model, keys: Keys, figures: Figures, tmp_path: Path
) -> Iterator[HostileSystem]:
    """A system in processes, in both models, plain and secure, with nothing running yet."""
    with contextlib.ExitStack() as stack:
        yield HostileSystem(model, keys, tmp_path, figures, stack)


@pytest.fixture
def make_scene(model: Model, tmp_path: Path) -> Iterator[MakeScene]:
    """Makes a secure system of the model, with a policy and a function that prepares
    the broker's folder."""
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
    """Starts console scripts, and kills the running ones after the test."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *argv: object) -> Program:
            program = Program(tmp_path, name, *argv)
            stack.callback(program.kill)
            return program

        yield start


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown" or report.failed:
        _results.add(report.nodeid, report.failed, report.user_properties)


def pytest_sessionfinish(session: pytest.Session) -> None:
    out = os.environ.get("PUBSUB_ATTACKS_OUT")
    if out and not hasattr(session.config, "workerinput"):
        path = Path(out)
        text = path.read_text(encoding="utf-8")
        path.write_text(attack_rows.with_table(text, _results), encoding="utf-8")
