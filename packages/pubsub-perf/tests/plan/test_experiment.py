"""Experiments as files."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_perf.commands import sweep
from pubsub_perf.experiment import experiment_files
from pubsub_perf.plan import parameters
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.experiment_table import experiment_of
from pubsub_perf.plan.experiment_text import parse_experiment, parse_table, table_text
from pubsub_perf.plan.thresholds import parse_threshold

SMALL = """
[parameters]
topology = "single-switch"
switch-hosts = [4, 5]
"""


def names(experiment: Experiment) -> list[str]:
    return [case.name for case in experiment.cases]


def test_every_parameter_may_be_a_list_and_all_combinations_are_cells() -> None:
    experiment = parse_experiment(
        SMALL + 'payload-size = [64, 1024]\ndelay = ["none", 2.5]\nloss = 1'
    )
    cells = {(case.scenario, case.load.loss_percent) for case in experiment.cases}
    assert cells == {
        ("payload-size=64,delay=none", 1),
        ("payload-size=64,delay=2.5", 1),
        ("payload-size=1024,delay=none", 1),
        ("payload-size=1024,delay=2.5", 1),
    }
    assert len(experiment.cases) == 4 * 2 * 2
    loads = {case.scenario: case.load for case in experiment.cases}
    assert loads["payload-size=64,delay=none"].delay_ms is None
    assert loads["payload-size=1024,delay=2.5"].delay_ms == 2.5


def test_runs_come_in_rounds_and_the_models_of_a_network_follow_each_other() -> None:
    experiment = parse_experiment("repeats = 2" + SMALL + "topics = [1, 2]")
    one = [
        f"topics={topics}/{model}/single-switch-{hosts}hosts"
        for topics in (1, 2)
        for hosts in (4, 5)
        for model in ("centralized", "decentralized")
    ]
    assert names(experiment) == one + [f"{name} (run 2)" for name in one]


def test_what_need_not_be_there_has_a_name() -> None:
    experiment = parse_experiment(
        SMALL + "overflow = ['default', 'block']\nqueue-limit = ['default', 5]"
    )
    loads = {case.scenario: case.load for case in experiment.cases}
    assert set(loads) == {
        f"overflow={policy},queue-limit={limit}"
        for policy in ("default", "block")
        for limit in ("default", "5")
    }
    assert loads["overflow=default,queue-limit=default"].overflow is None
    assert loads["overflow=block,queue-limit=5"].queue_limit == 5


def test_what_does_not_vary_is_in_no_name() -> None:
    experiment = parse_experiment(SMALL + "payload-size = 1024")
    assert {case.scenario for case in experiment.cases} == {""}


def test_explicit_cases_have_their_own_parameters_and_those_of_all() -> None:
    experiment = parse_experiment(
        SMALL
        + """events = 20
        rate = 100
        [[cases]]
        payload-size = [64, 256]
        [[cases]]
        topology = "tree-d2f2"
        model = "centralized"
        interval = 0.5
        thresholds = "lost = 0"
        """
    )
    assert [case.name for case in experiment.cases][-1] == (
        "interval=0.5,payload-size=64/centralized/tree-d2f2-4hosts"
    )
    *others, last = experiment.cases
    assert len(others) == 2 * 2 * 2
    assert {case.load.interval_s for case in others} == {0.01}
    assert last.load.interval_s == 0.5
    assert {case.load.events for case in experiment.cases} == {20}
    assert [len(experiment.thresholds_of(case)) for case in experiment.cases] == (
        [0] * 8 + [1]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[parameters", "not TOML"),
        ("repeat = 3", r"unknown key repeat \(did you mean repeats\?\)"),
        ("repeats = 0", "repeats"),
        ("repeats = true", "repeats: True is not a whole number"),
        ("title = 3", "title: 3 is not a text"),
        ("hosts = 'cloud'", "hosts: unknown 'cloud': choose from auto, mininet, local"),
        ("parameters = 3", "parameters is not a table"),
        ("cases = []", r"tables like \[\[cases\]\]"),
        ("[parameters]\npayload = 3", r"unknown key payload in \[parameters\] \(did"),
        ("[parameters]\nevents = []", "events: the list has no values"),
        ("[parameters]\nevents = 2.5", "events: 2.5 is not a whole number"),
        ("[parameters]\nevents = [10, -1]", "events: -1 is less than 0"),
        ("[parameters]\nevents = true", "events: True is not"),
        ("[parameters]\nrate = 0", "rate must be more than 0"),
        ("[parameters]\ndelay = nan", "delay: nan is not a number of 0 or more"),
        ("[parameters]\nsecure = 1", "secure: 1 is neither true nor false"),
        ("[parameters]\ntopology = 'ring'", "unknown topology 'ring'"),
        ("[parameters]\nmodel = 'anarchic'", "unknown model 'anarchic'"),
        ("[parameters]\nrate = 1\ninterval = 1", "rate and interval exclude"),
        ("[parameters]\ndepth = '3..2'", "'3..2' is not a range upwards"),
        ("[parameters]\ndepth = '1..99999999'", "is not a range upwards"),
        ("[parameters]\nevents = [1e999]", "events: inf is not a whole number"),
        (
            "[[cases]]\nevnts = 3",
            r"evnts in \[\[cases\]\] number 1 \(did you mean events",
        ),
        ("thresholds = ['p99 < 5']", "no figure 'p99'"),
        (
            "thresholds = ['p99_ms']",
            r"not a valid threshold; they are written as thresholds = \[",
        ),
        ("thresholds = [5]", "5 is not a valid threshold"),
        (
            "[thresholds]\np99_ms = '< 5'",
            r"are no table; .* thresholds = \[\"p99_ms < 5",
        ),
        ("p99_ms = '< 5'", r"unknown key p99_ms: thresholds are written as thresholds"),
        (
            "[parameters]\nlost = 0",
            r"key lost in \[parameters\]: thresholds are written",
        ),
        ("repeats = 99999999", "runs are too many: at most 100,000"),
        ("optional = ['events']", "optional: 'events' is none of bandwidth"),
        (
            "optional = 'delay'\n[parameters]\ndelay = [1, 2]",
            "optional: delay has several values",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        parse_experiment(text)
    assert "\n" not in str(found.value)


def test_a_product_that_is_too_large_is_refused_before_it_is_made() -> None:
    axis = str(list(range(1, 2000)))
    text = f"[parameters]\nevents = {axis}\ntopics = {axis}\npayload-size = {axis}"
    with pytest.raises(ConfigError, match="too many"):
        parse_experiment(text)


@pytest.mark.parametrize("name", experiment_files.preset_names())
def test_presets_are_files_of_experiments(name: str) -> None:
    text = experiment_files.experiment_text(name)
    experiment = parse_experiment(text)
    assert experiment.text == text
    assert experiment.title
    assert {case.scenario for case in experiment.cases} == {""}


def test_the_full_preset_covers_the_seeds_trees_and_256_hosts() -> None:
    experiment = parse_experiment(experiment_files.preset_text("full"))
    trees = {
        (case.network.depth, case.network.fanout)
        for case in experiment.cases
        if case.network.kind == "tree"
    }
    assert trees == {(depth, fanout) for depth in (2, 3, 4) for fanout in (2, 3, 4)}
    assert max(len(case.network.hosts) for case in experiment.cases) == 256


def test_the_default_preset_decides_what_needs_several_runs_and_sizes() -> None:
    experiment = parse_experiment(experiment_files.preset_text("default"))
    stars = {
        len(case.network.hosts)
        for case in experiment.cases
        if case.network.kind == "single-switch"
    }
    assert experiment.repeats >= 3
    assert len(stars) >= 4
    assert all(case.load.bandwidth_mbit for case in experiment.cases)
    measured_s = sum(c.load.sent * c.load.interval_s for c in experiment.cases)
    assert measured_s < 100


def test_hosts_without_links_go_without_what_is_optional() -> None:
    text = (
        "optional = ['bandwidth']\nthresholds = 'lost = 0'\n"
        "[parameters]\nbandwidth = 3\ndelay = 2"
    )
    experiment = parse_experiment(text)
    local = experiment.without_links()
    assert {case.load.bandwidth_mbit for case in local.cases} == {None}
    assert {case.load.delay_ms for case in local.cases} == {2}
    assert len(local.cases) == len(experiment.cases)
    assert all(local.thresholds_of(case) for case in local.cases)


def of_options(*words: str) -> Experiment:
    from pubsub_common.cli import console_script

    options = console_script.parse(sweep.USAGE, ["sweep", *words], "pubsub-perf", "1")
    table = sweep.table_of(options)
    return experiment_of(table, table_text(table), "--")


def test_the_options_of_a_sweep_are_an_experiment_too() -> None:
    words = ["--switch-hosts=4..6", "--topology=single-switch", "--repeats=3"]
    experiment = of_options(*words, "--payload-size=64,128", "--secure", "--delay=none")
    assert len(experiment.cases) == 3 * 2 * 3 * 2
    assert {case.scenario for case in experiment.cases} == {
        "payload-size=64",
        "payload-size=128",
    }
    assert all(case.load.secure for case in experiment.cases)
    again = parse_experiment(experiment.text)
    assert again.cases == experiment.cases
    assert parse_table(experiment.text)["parameters"] == {
        "topology": "single-switch",
        "switch-hosts": [4, 5, 6],
        "payload-size": [64, 128],
        "delay": "none",
        "secure": True,
    }


def test_options_go_before_those_of_a_preset() -> None:
    experiment = of_options("--preset=smoke", "--rate=50", "--switch-hosts", "5")
    assert {case.network.name for case in experiment.cases} == {
        "single-switch-5hosts",
        "tree-d2f2-4hosts",
    }
    assert {case.load.interval_s for case in experiment.cases} == {0.02}
    assert {case.load.events for case in experiment.cases} == {10}


def test_defaults_in_the_help_are_those_that_apply() -> None:
    from pubsub_common.cli import usage_text

    told = {line.key: line.default for line in usage_text.option_lines(sweep.USAGE)}
    for name, parameter in parameters.PARAMETERS.items():
        assert name in told
        if parameter.read is parameters.flag or parameter.values in ((None,), ()):
            assert told[name] is None
        else:
            assert told[name] == ",".join(map(parameter.shown, parameter.values))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--events=x"], "--events: 'x' is not a whole number"),
        (["--switch-hosts=9..4"], "--switch-hosts: '9..4' is not a range"),
        (["--preset=all"], "no preset 'all': choose from default, full"),
    ],
)
def test_options_that_make_no_sense_are_named(words: Sequence[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        of_options(*words)


@given(
    st.dictionaries(
        st.sampled_from(["title", "hosts"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
    ),
    st.lists(st.floats(0.001, 1e9), min_size=1),
)
def test_a_table_reads_as_it_was_written(
    texts: dict[str, str], values: list[float]
) -> None:
    table = {**texts, "parameters": {"delay": values}, "cases": [{"secure": True}]}
    assert parse_table(table_text(table)) == table


@pytest.mark.parametrize(
    ("text", "figures", "broken"),
    [
        ("p99_ms < 5", {"p99_ms": 4.9}, None),
        ("p99_ms<5", {"p99_ms": 5.0}, "p99_ms < 5: it is 5"),
        ("p50_us >= 0.5", {"p50_us": 0.5}, None),
        ("lost = 0", {"lost": 0}, None),
        ("lost == 0", {"lost": 3}, "lost = 0: it is 3"),
        ("lost <= 2", {}, "lost <= 2: there is no lost"),
        ("p999_s > 1", {"p999_s": None}, "p999_s > 1: there is no p999_s"),
    ],
)
def test_a_threshold_is_kept_or_broken(
    text: str, figures: dict[str, float | None], broken: str | None
) -> None:
    assert parse_threshold(text, "thresholds").broken_by(figures) == broken
