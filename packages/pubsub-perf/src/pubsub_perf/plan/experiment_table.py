"""Makes an experiment of a table, which is that of a file::

    title = "How latency grows"
    repeats = 5
    thresholds = ["lost = 0", "p99_ms < 50"]

    [parameters]
    topology = "single-switch"
    switch-hosts = [5, 9, 13]
    payload-size = [64, 1024]

Every parameter may be a list, and all combinations are cells. With ``[[cases]]`` only these are:
each has the parameters of ``[parameters]``, but for its own, and may be lists again.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, cast

from pubsub_common import validation
from pubsub_common.errors import ConfigError
from pubsub_perf.plan import network_axes
from pubsub_perf.plan.cases import Case, Load, cases
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.parameters import PARAMETERS, Value, whole
from pubsub_perf.plan.thresholds import FORM, NAMES, Threshold, parse_threshold
from pubsub_perf.plan.topologies import Network

# More than any sweep needs; a typing error in a range is found at once.
MAX_RUNS: Final = 100_000
# Mininet where it can run, else loopback addresses; or one of these.
HOSTS: Final = ("auto", "mininet", "local")
_MAX_TITLE: Final = 200
_KEYS: Final = ("title", "hosts", "repeats", "seed", "thresholds", "optional")
# What only emulated links have.
_OF_LINKS: Final = ("bandwidth", "delay", "jitter", "loss")
_TABLES: Final = ("parameters", "cases")
_Axes = Mapping[str, tuple[Value, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Span:
    """The cells that one table spans."""

    axes: _Axes
    networks: Sequence[Network]
    models: Sequence[str]
    thresholds: tuple[Threshold, ...]

    def points(self) -> Iterator[dict[str, Value]]:
        """All combinations, the last parameter changing first."""
        for values in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))

    def size(self) -> int:
        count = len(self.networks) * len(self.models)
        for values in self.axes.values():
            count *= len(values)
        return count


def experiment_of(
    table: Mapping[str, object], text: str, prefix: str = ""
) -> Experiment:
    """The experiment that a table says; ``text`` is the file with that table. Names in errors
    begin with ``prefix``.

    Raises:
        ConfigError: the table says what makes no sense.
    """
    _check_keys(table, (*_KEYS, *_TABLES), prefix, "")
    repeats = _whole(table, "repeats", 1, prefix)
    validation.at_least("repeats", repeats)
    seed = _whole(table, "seed", 1, prefix)
    everywhere = _thresholds(table, f"{prefix}thresholds")
    spans = [
        dataclasses.replace(span, thresholds=(*everywhere, *span.thresholds))
        for span in _spans(table, prefix)
    ]
    runs = repeats * sum(span.size() for span in spans)
    if runs > MAX_RUNS:
        raise ConfigError(f"{runs:,} runs are too many: at most {MAX_RUNS:,}")
    limits = _limits(spans, seed)
    rounds = (
        dataclasses.replace(case, run=run)
        for run in range(1, repeats + 1)
        for case in limits
    )
    return Experiment(
        text=text,
        title=_text(table, "title", "", prefix)[:_MAX_TITLE],
        hosts=_hosts(table, prefix),
        repeats=repeats,
        cases=tuple(rounds),
        limits=limits,
        optional=_optional(table, spans, prefix),
    )


def _optional(
    table: Mapping[str, object], spans: Sequence[_Span], prefix: str
) -> tuple[str, ...]:
    given = table.get("optional", [])
    names = given if isinstance(given, list) else [given]
    varied = _varied(spans)
    for name in names:
        if name not in _OF_LINKS:
            raise ConfigError(
                f"{prefix}optional: {name!r} is none of {', '.join(_OF_LINKS)}"
            )
        if name in varied:
            raise ConfigError(
                f"{prefix}optional: {name} has several values, which could not be told "
                "apart without it"
            )
    return tuple(names)


def _limits(spans: Sequence[_Span], seed: int) -> dict[Case, tuple[Threshold, ...]]:
    """The first run of each cell, and what it must keep."""
    varied = _varied(spans)
    found: dict[Case, tuple[Threshold, ...]] = {}
    for span in spans:
        for point in span.points():
            load = _load(point, seed)
            name = ",".join(
                f"{each}={PARAMETERS[each].shown(point[each])}"
                for each in varied
                if each in point
            )
            for case in cases(span.models, span.networks, load, scenario=name):
                found[case] = tuple(
                    dict.fromkeys((*found.get(case, ()), *span.thresholds))
                )
    return found


def _varied(spans: Sequence[_Span]) -> list[str]:
    """The parameters of loads in which the cells differ."""
    values: dict[str, set[Value]] = {}
    for span in spans:
        for name, given in span.axes.items():
            values.setdefault(name, set()).update(given)
    several = {"interval", "rate"} <= values.keys()
    return [
        name
        for name in PARAMETERS
        if len(values.get(name, ())) > 1 or (several and name in ("interval", "rate"))
    ]


def _load(point: Mapping[str, Value], seed: int) -> Load:
    fields: dict[str, object] = {"seed": seed}
    for name, value in point.items():
        field = PARAMETERS[name].field
        assert field is not None
        if name == "rate":
            if not value:
                raise ConfigError("rate must be more than 0: 0")
            value = 1 / cast("float", value)
        fields[field] = value
    load = Load(**fields)  # type: ignore[arg-type]
    load.validate()
    return load


def _spans(table: Mapping[str, object], prefix: str) -> Iterator[_Span]:
    shared = _table(table.get("parameters", {}), "parameters")
    _check_keys(shared, PARAMETERS, prefix, " in [parameters]")
    own = table.get("cases", [{}])
    if not isinstance(own, list) or not own:
        raise ConfigError("cases are tables like [[cases]]")
    for number, each in enumerate(own, start=1):
        where = f" in [[cases]] number {number}" if "cases" in table else ""
        case = dict(_table(each, "cases"))
        _check_keys(case, (*PARAMETERS, "thresholds"), prefix, where)
        thresholds = _thresholds(case, f"thresholds{where}")
        case.pop("thresholds", None)
        yield _span(_joined(shared, case), prefix, where, thresholds)


def _joined(
    shared: Mapping[str, object], case: Mapping[str, object]
) -> dict[str, object]:
    """The parameters of a case: those of all, but for its own."""
    other = {"rate": "interval", "interval": "rate"}
    hidden = {other[name] for name in case if name in other}
    return {k: v for k, v in shared.items() if k not in hidden} | dict(case)


def _span(
    given: Mapping[str, object],
    prefix: str,
    where: str,
    thresholds: tuple[Threshold, ...],
) -> _Span:
    if "rate" in given and "interval" in given:
        raise ConfigError(
            f"{prefix}rate and {prefix}interval{where} exclude each other"
        )
    axes = {
        name: parameter.values_of(given[name], f"{prefix}{name}{where}")
        if name in given
        else parameter.values
        for name, parameter in PARAMETERS.items()
    }
    axes.pop("interval" if "rate" in given else "rate")
    networks = network_axes.networks(
        cast("Sequence[str]", axes["topology"]),
        cast("Sequence[int]", axes["depth"]),
        cast("Sequence[int]", axes["fanout"]),
        cast("Sequence[int]", axes["switch-hosts"]),
    )
    models = cast("Sequence[str]", axes["model"])
    loads = {name: axes[name] for name in axes if PARAMETERS[name].field is not None}
    return _Span(loads, networks, models, thresholds)


def _table(given: object, name: str) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise ConfigError(f"{name} is not a table of parameters")
    return {key.replace("_", "-"): value for key, value in given.items()}


def _check_keys(
    table: Mapping[str, object], known: Collection[str], prefix: str, where: str
) -> None:
    for key in table:
        if key not in known:
            if key in NAMES:
                raise ConfigError(
                    f"unknown key {prefix}{key}{where}: thresholds are {FORM}"
                )
            near = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"unknown key {prefix}{key}{where}{hint}")


def _thresholds(table: Mapping[str, object], label: str) -> tuple[Threshold, ...]:
    given = table.get("thresholds", [])
    if isinstance(given, dict):
        raise ConfigError(f"{label} are no table; they are {FORM}")
    listed = given if isinstance(given, list) else [given]
    return tuple(parse_threshold(each, label) for each in listed)


def _whole(table: Mapping[str, object], key: str, default: int, prefix: str) -> int:
    given = table.get(key, default)
    try:
        return whole(given)
    except ValueError as error:
        raise ConfigError(f"{prefix}{key}: {given!r} {error}") from None


def _hosts(table: Mapping[str, object], prefix: str) -> str:
    given = _text(table, "hosts", HOSTS[0], prefix)
    if given not in HOSTS:
        raise ConfigError(
            f"{prefix}hosts: unknown {given!r}: choose from {', '.join(HOSTS)}"
        )
    return given


def _text(table: Mapping[str, object], key: str, default: str, prefix: str) -> str:
    given = table.get(key, default)
    if not isinstance(given, str):
        raise ConfigError(f"{prefix}{key}: {given!r} is not a text")
    return given
