"""A fuzzing loop: it keeps inputs that do something new, and changes them further.

New is a step from one line of the project's code to another that no input took before.
msgspec is compiled, and its lines are invisible, but its errors name the problem and
its place. So the text of an error counts too, without its values, and so does the kind
of a result. This is the reason for not using atheris, which is faster but sees nothing
inside msgspec: with 50,000 inputs it got 37 kinds of answers out of `decode_reply`,
this loop 63, and the real bug.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from fuzz_mutation import mutate
from fuzz_targets import Target

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
CRASHES: Final = HERE / "crashes"
# The number of corpus files for each target: the seeds, and inputs that reach further
# lines.
MAX_FILES: Final = 40
MAX_FILE_BYTES: Final = 2048
# No input takes this long, unless it hangs.
HANG_S: Final = 10
_MAX_CRASHES: Final = 10
_VALUES: Final = re.compile(
    r"(?s)(?:field|value) [`'].*[`']|\b0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\""
)


class Hang(BaseException):
    """An input took too long. Not an `Exception`, so that the code under test does not
    catch it."""


@dataclasses.dataclass
class Outcome:
    """The result of one target."""

    name: str
    inputs: int = 0
    corpus: int = 0
    declared: int = 0
    crashes: list[str] = dataclasses.field(default_factory=list)


class Coverage:
    """Runs a target, and reports new behavior."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._steps: set[tuple[int, int, int]] = set()
        self._outcomes: set[object] = set()
        self._traced: dict[CodeType, int] = {}
        self._now: set[tuple[int, int, int]] = set()
        self.declared = 0

    def run(self, data: bytes) -> tuple[bool, bool]:
        """Whether lines are reached in a new way, and whether anything is new.

        Raises the target's forbidden exceptions.
        """
        self._now = set()
        before = sys.gettrace()
        signal.alarm(HANG_S)
        sys.settrace(self._enter)
        try:
            result = self._target.run(data)
        except self._target.declared as error:
            self.declared += 1
            outcome: object = _VALUES.sub("#", str(error))
        else:
            outcome = result if _is_words(result) else type(result)
        finally:
            sys.settrace(before)
            signal.alarm(0)
        steps = not self._now <= self._steps
        self._steps |= self._now
        new = outcome not in self._outcomes
        self._outcomes.add(outcome)
        return steps, steps or new

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        number = self._traced.get(code)
        if number is None:
            ours = "/pubsub_" in code.co_filename
            number = self._traced[code] = len(self._traced) if ours else -1
        if number < 0:
            return None
        last = 0
        note = self._now.add

        def step(frame: FrameType, _event: str, _arg: Any) -> Any:
            nonlocal last
            line = frame.f_lineno
            note((number, last, line))
            last = line
            return step

        return step


def _is_words(result: object) -> bool:
    """Whether a target reports its result in words, of which there are few."""
    # Exactly a tuple: a decoded input may be a named one.
    return type(result) is tuple and all(isinstance(part, str) for part in result)


def fuzz(
    target: Target,
    runs: int,
    seed: int,
    *,
    corpus: Path = CORPUS,
    crashes: Path = CRASHES,
    keep: bool = False,
) -> Outcome:
    """Run the whole corpus of ``target``, then ``runs`` changed inputs. With ``keep``
    the corpus' files grow by inputs that reach new lines."""
    chance = random.Random(f"{seed} {target.name}")
    outcome, coverage = Outcome(target.name), Coverage(target)
    inputs = stored(target, corpus)
    files = len(inputs)
    known, valid = [*inputs], [*target.seeds]
    signal.signal(signal.SIGALRM, _hang)
    for data in _until(runs, inputs, known, valid, chance):
        outcome.inputs += 1
        declared = coverage.declared
        try:
            steps, new = coverage.run(data)
        except (Exception, Hang):
            if _report(target, data, outcome, crashes):
                break
            continue
        if new and outcome.inputs > len(inputs):
            known.append(data)
            if coverage.declared == declared:
                valid.append(data)
            if keep and steps and files < MAX_FILES and len(data) <= MAX_FILE_BYTES:
                files += 1
                store(corpus / target.name, data)
    outcome.corpus = len(known)
    outcome.declared = coverage.declared
    return outcome


def _until(
    runs: int,
    inputs: list[bytes],
    known: list[bytes],
    valid: list[bytes],
    chance: random.Random,
) -> Iterator[bytes]:
    yield from inputs
    for _ in range(runs - len(inputs)):
        # A rejected input mostly stays rejected, and a new one has been changed least.
        some = chance.choice((valid, valid, known, known[-20:]))
        yield mutate(chance.choice(some), chance, known)


def _hang(_signal: int, _frame: object) -> None:
    raise Hang(f"nothing came of it for {HANG_S} s")


def _report(target: Target, data: bytes, outcome: Outcome, crashes: Path) -> bool:
    """Keep an input that raised a forbidden exception; True if there are enough."""
    text = traceback.format_exc()
    where = traceback.extract_tb(sys.exc_info()[2])[-1]
    kind = f"{type(sys.exc_info()[1]).__name__} at {Path(where.filename).name}:{where.lineno}"
    if kind not in outcome.crashes:
        outcome.crashes.append(kind)
        path = store(crashes / target.name, data)
        path.with_suffix(".txt").write_text(text, "utf-8")
    return len(outcome.crashes) >= _MAX_CRASHES


def stored(target: Target, corpus: Path = CORPUS) -> list[bytes]:
    """The seeds and the corpus of a target, each once."""
    files: Iterable[Path] = sorted((corpus / target.name).glob("*.bin"))
    return list(dict.fromkeys([*target.seeds, *(path.read_bytes() for path in files)]))


def store(folder: Path, data: bytes) -> Path:
    """Write an input under a unique name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name_of(data)
    path.write_bytes(data)
    return path


def name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]}.bin"
