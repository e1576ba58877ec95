"""The pytest plugin: a broker, publishers and subscribers that end with the test.

pytest loads this in every run where the package is installed. So it imports nothing but pytest
until one of its fixtures is used. The roles are imported by name then: this package does not
depend on theirs.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pubsub_broker import Broker
    from pubsub_common.testing import NewPublisher, NewSubscriber

_MODELS = ("centralized", "decentralized")
_MARKER = (
    "pubsub_broker(model='decentralized', **options): the model of the fixture of that "
    "name, 'centralized' or 'decentralized', and options of its Broker"
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def pubsub_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker on a free port of loopback; its loop runs in a thread. Its model is
    decentralized, unless the marker of the same name or an indirect parameter says
    "centralized"."""
    model, options = _asked(request)
    new = _role("pubsub_broker", "Broker")
    from pubsub_common.testing.background import running_broker

    settings = {"indefinite": True, "bind": "127.0.0.1", "port": 0, **options}
    with running_broker(new(model == "centralized", **settings)) as broker:
        yield broker


@pytest.fixture
def pubsub_publisher(pubsub_broker: Broker) -> Iterator[NewPublisher]:
    """Makes publishers that are connected to the fixture ``pubsub_broker``."""
    new = _role("pubsub_publisher", "Publisher")
    with contextlib.ExitStack() as stack:

        def make(*topics: str, **options: Any) -> Any:
            settings = _settings(pubsub_broker, {"bind_port": 0}, options)
            return stack.enter_context(new(topics=topics, **settings))

        yield make


@pytest.fixture
def pubsub_subscriber(pubsub_broker: Broker) -> Iterator[NewSubscriber]:
    """Makes subscribers that are connected to the fixture ``pubsub_broker``, of its
    model; they are indefinite, unless they are given a ``max_event_count``."""
    new = _role("pubsub_subscriber", "Subscriber")
    with contextlib.ExitStack() as stack:

        def make(*topics: str, **options: Any) -> Any:
            own = {
                "centralized": pubsub_broker.centralized,
                "indefinite": "max_event_count" not in options,
            }
            settings = _settings(pubsub_broker, own, options)
            return stack.enter_context(new(topics=topics, **settings))

        yield make


def _asked(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The model and the broker's options that a test asks for."""
    marker = request.node.get_closest_marker("pubsub_broker")
    args = () if marker is None else marker.args
    options = {} if marker is None else dict(marker.kwargs)
    model = options.pop("model", args[0] if args else "decentralized")
    model = getattr(request, "param", model)
    if model not in _MODELS or len(args) > 1:
        pytest.fail(
            f"the model of pubsub_broker is 'centralized' or 'decentralized', not "
            f"{model!r}",
            pytrace=False,
        )
    return model, options


def _settings(
    broker: Broker, own: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a client: those that it needs to reach the broker, those of its
    role, and over both those that the test gives."""
    return {
        "broker_address": broker.address,
        "broker_port": broker.port,
        "address": broker.address,
        **own,
        **options,
    }


def _role(module: str, name: str) -> Callable[..., Any]:
    """A role's class, of a package that may not be installed."""
    try:
        role: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        package = module.replace("_", "-")
        pytest.fail(
            f"the fixture {package.replace('-', '_')} needs the package {package}: "
            f"python -m pip install {package}",
            pytrace=False,
        )
    return role
