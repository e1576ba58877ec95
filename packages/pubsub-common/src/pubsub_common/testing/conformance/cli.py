"""The console script ``pubsub-conformance``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

from pubsub_common.cli import console_script, option_texts
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import Role

PROGRAM = "pubsub-conformance"
USAGE = f"""Try whether a client, in any language, speaks the protocol of pubsub.

Examples:
  {PROGRAM} --list
  {PROGRAM} subscriber -- \\
      pubsub-subscriber -b {{host}}:{{port}} -t {{topics}} --json --flush
  {PROGRAM} publisher -- \\
      pubsub-publisher -b {{host}}:{{port}} -t {{topics}} -m {{total}} -s {{interval}} \\
      --bind-port 0

Usage:
  {PROGRAM} subscriber [options] -- COMMAND...
  {PROGRAM} publisher [options] -- COMMAND...
  {PROGRAM} [subscriber | publisher] [options]

Each scenario starts COMMAND again, with a scripted broker and peers around it. A
subscriber writes each event to standard output at once, as a line of JSON with topic,
publisher, sequence, and payload or payload_base64. A publisher registers, publishes on
its topics in turn, and disconnects. Both disconnect and end at SIGTERM. These parts of
the words of COMMAND are replaced:

  {{host}} {{port}}       the broker
  {{topics}}            a word that is this alone becomes one for each topic, and an
                      option before it is repeated: -t {{topics}} becomes -t A -t B.
                      Within a longer word: all of them, with commas
  {{count}} {{total}}     of a publisher: the events on each topic, and on all together
  {{interval}}          of a publisher: the seconds between two events

The result of a scenario is a line: pass or FAIL, its name, the duty of a client; after a
failure also the expected and the seen behaviour, and the section of docs/protocol.md
with the rule.

What:
  --list                          show the scenarios, instead of trying any
  --only NAME                     try only this one; repeat for more
  --without NAME                  leave this one out; repeat for more
  --recover                       try also the duties of a subscriber that asks for
                                  missing events
  --brokers                       try also the duties of a client that knows several
                                  brokers

How long:
  --timeout SECONDS               time limit for the next action of a client; more,
                                  where the protocol says more [default: 10]

Output:
  -v, --verbose                   show all messages of a failed scenario, on standard
                                  error

Rare:
  --jobs N                        scenarios that are tried at once [default: 4]
{option_texts.COMPLETION_OPTION}
{option_texts.HELP_OPTIONS}

Exit codes: 0 all passed; 1 one failed, or a signal stopped it; 2 wrong options, or a
COMMAND that cannot be started. Each error is one line.
"""


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_common import __version__

    words = list(sys.argv[1:] if argv is None else argv)
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    failed = False

    def work() -> None:
        nonlocal failed
        if options["--list"]:
            _show(options)
        else:
            failed = not _try(options)

    exit_code = console_script.run(PROGRAM, work)
    return exit_code or (
        console_script.EXIT_FAILED if failed else console_script.EXIT_OK
    )


def _role(options: console_script.Options) -> Role | None:
    if options["subscriber"]:
        return "subscriber"
    return "publisher" if options["publisher"] else None


def _show(options: console_script.Options) -> None:
    from pubsub_common.testing.conformance import runner
    from pubsub_common.testing.conformance.scenario import OPTIONS

    role = _role(options)
    roles: list[Role] = ["subscriber", "publisher"] if role is None else [role]
    for each in roles:
        print(f"{each}:")
        for scenario in runner.scenarios_of(each, options=OPTIONS):
            needs = f" ({scenario.optional})" if scenario.optional else ""
            print(f"  {scenario.name}{needs}: {scenario.title}")


def _try(options: console_script.Options) -> bool:
    """Whether all passed.

    Raises:
        ConfigError: the options make no sense.
    """
    from pubsub_common.testing.conformance import runner
    from pubsub_common.testing.conformance.scenario import OPTIONS

    role, command = _role(options), options["COMMAND"]
    if role is None or not command:
        raise ConfigError(
            f"say which role, and after -- how the client is started; see {PROGRAM} --help"
        )
    scenarios = runner.scenarios_of(
        role,
        options["--only"],
        without=options["--without"],
        options=[each for each in OPTIONS if options[each]],
    )
    passed = count = 0
    stopping = threading.Event()
    with console_script.stop_on_signals(stopping.set):
        for outcome in runner.run_all(
            role,
            command,
            scenarios,
            patience_s=console_script.seconds(options, "--timeout"),
            jobs=console_script.whole_number(options, "--jobs"),
            stopping=stopping,
        ):
            count += 1
            passed += outcome.passed
            print(outcome.line(), flush=True)
            if options["--verbose"] and not outcome.passed:
                for line in outcome.record:
                    console_script.print_message(PROGRAM, f"{outcome.scenario}: {line}")
    ended = f"; interrupted before {len(scenarios) - count} others"
    print(
        f"{passed} of {count} scenarios passed"
        + (ended if count < len(scenarios) else "")
    )
    return passed == len(scenarios)
