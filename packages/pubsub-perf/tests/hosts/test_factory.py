"""What hosts cannot have is refused, or named, before anything runs."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.hosts import factory, kernel_features
from pubsub_perf.plan.cases import Load

NO_NETEM = "this kernel has no netem queueing discipline (Error)"
NO_OPENVSWITCH = "this kernel has no Open vSwitch module"


@pytest.fixture
def poor_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_features, "netem_unavailable", lambda: NO_NETEM)
    monkeypatch.setattr(
        kernel_features, "openvswitch_unavailable", lambda: NO_OPENVSWITCH
    )


def test_an_unknown_switch_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose from linux-bridge, openvswitch"):
        Load(switch="cisco").validate()


@pytest.mark.usefixtures("poor_kernel")
@pytest.mark.parametrize(
    ("load", "said"),
    [
        (Load(delay_ms=5), "a delay of 5 ms cannot be set: this kernel has no netem"),
        (Load(loss_percent=0.5), "a loss of 0.5 % cannot be set: this kernel has no"),
        (Load(delay_ms=5, jitter_ms=1), "5 ms, a jitter of 1 ms cannot be set"),
        (Load(switch="openvswitch"), "no Open vSwitch module; choose --switch linux"),
    ],
)
def test_mininet_hosts_refuse_what_the_kernel_lacks(load: Load, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        factory.check_network("mininet", load)


def test_open_vswitch_is_refused_even_where_the_kernel_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_features, "openvswitch_unavailable", lambda: None)
    with pytest.raises(ConfigError, match="private namespaces"):
        factory.check_network("mininet", Load(switch="openvswitch"))


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (Load(bandwidth_mbit=5), "no bandwidth, delay, jitter or loss can be set"),
        (Load(delay_ms=5), "no bandwidth, delay, jitter or loss can be set"),
        (Load(switch="openvswitch"), "no switches, so no openvswitch"),
    ],
)
def test_local_hosts_have_no_network_to_shape(load: Load, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        factory.check_network("local", load)


@pytest.mark.usefixtures("poor_kernel")
def test_what_the_kernel_lacks_is_named_with_what_it_means() -> None:
    assert factory.missing_features("local") == []
    assert factory.missing_features("mininet") == [
        f"{NO_NETEM}: links cannot delay or lose packets",
        f"{NO_OPENVSWITCH}: switches are Linux bridges",
    ]
