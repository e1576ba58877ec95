"""The usage texts of all programs and commands."""

from __future__ import annotations

import importlib

import pytest

from pubsub_broker import cli as broker_cli
from pubsub_broker.commands import check, keys, status
from pubsub_common.cli import console_script, usage_text
from pubsub_common.cli.usage_text import OptionLine
from pubsub_common.testing.conformance import cli as conformance_cli
from pubsub_perf import cli as perf_cli
from pubsub_perf import driver
from pubsub_perf.commands.registry import SUBCOMMANDS
from pubsub_publisher import cli as publisher_cli
from pubsub_subscriber import cli as subscriber_cli

USAGES = {
    "pubsub-broker": broker_cli.USAGE,
    "pubsub-broker status": status.USAGE,
    "pubsub-broker check": check.USAGE,
    **{f"pubsub-broker {name}": keys.usage(name) for name in broker_cli.KEY_COMMANDS},
    "pubsub-publisher": publisher_cli.USAGE,
    "pubsub-subscriber": subscriber_cli.USAGE,
    "pubsub-driver": driver.USAGE,
    "pubsub-conformance": conformance_cli.USAGE,
    "pubsub-perf": perf_cli.USAGE,
    **{
        f"pubsub-perf {each.name}": importlib.import_module(
            f"pubsub_perf.commands.{each.name}"
        ).USAGE
        for each in SUBCOMMANDS
    },
}
NEEDING = [
    (program, line)
    for program, usage in USAGES.items()
    for line in usage_text.option_lines(usage)
    if line.needed
]


def test_options_that_need_another_are_found() -> None:
    assert {("pubsub-broker", "--forwarders"), ("pubsub-subscriber", "--jobs")} <= {
        (program, line.long) for program, line in NEEDING
    }


@pytest.mark.parametrize(
    ("program", "line"), NEEDING, ids=[f"{a} {b.long}" for a, b in NEEDING]
)
def test_an_option_is_rejected_without_the_one_that_it_needs(
    program: str, line: OptionLine, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = USAGES[program]
    command = program.split()[1:]
    words = [*command, *(["x"] if command == ["run"] else []), line.long]
    words += [] if line.value is None else ["1"]
    names = {
        name
        for each in usage_text.option_lines(usage)
        for name in (each.long, each.short)
    }

    assert {name for name, _ in line.needed} <= names
    with pytest.raises(SystemExit) as end:
        console_script.parse(usage, words, program, "1")
    assert end.value.code == console_script.EXIT_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"{program}: {line.short or line.long} is for ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("program", USAGES)
def test_an_option_contradicts_options_that_exist(program: str) -> None:
    lines = usage_text.option_lines(USAGES[program])
    names = {name for line in lines for name in (line.long, line.short)}

    assert {name for line in lines for name in line.contradicted} <= names


@pytest.mark.parametrize("program", USAGES)
def test_a_usage_text_fits_the_screen(program: str) -> None:
    for line in USAGES[program].splitlines():
        assert len(line) <= 100, line


@pytest.mark.parametrize("program", USAGES)
def test_every_program_and_command_has_a_manual_page(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.parse(USAGES[program], ["--man"], program, "1")

    assert end.value.code == console_script.EXIT_OK
    title = program.replace(" ", "-").upper()
    assert capsys.readouterr().out.startswith(f'.TH "{title}" 1')
