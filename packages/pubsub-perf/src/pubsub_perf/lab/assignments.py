"""Assigns blocks to machines: the core of a sweep on several machines.

A free machine takes the next block. If the machine fails, the block goes to another one, and is
given up after `MAX_TRIES` failures. A machine is left out after `MAX_FAILURES` failures in
succession. No pair is split over machines: a begun block stays with its machine; if the machine
is left out, another one runs the whole block again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pubsub_perf.plan.blocks import Block
from pubsub_perf.plan.cases import Case

MAX_TRIES: Final = 3
MAX_FAILURES: Final = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """Cells of one block, for one machine. ``repeated`` are cells that another machine measured
    before."""

    block: Block
    cases: tuple[Case, ...]
    repeated: tuple[Case, ...] = ()


@dataclasses.dataclass(slots=True, eq=False)
class _Todo:
    """An unfinished block. The machine ``home`` has measured the cells ``done``."""

    block: Block
    home: str | None = None
    done: set[Case] = dataclasses.field(default_factory=set)
    tries: int = 0
    failed_at: set[str] = dataclasses.field(default_factory=set)
    reasons: list[str] = dataclasses.field(default_factory=list)

    def whole(self) -> bool:
        return self.done.issuperset(self.block.cases)


@dataclasses.dataclass(slots=True, eq=False)
class _Machine:
    """``identity`` is known once it has been reached."""

    identity: str | None = None
    task: _Todo | None = None
    failures: int = 0
    left_out: str | None = None


class Assignments:
    """Blocks and machines, which are called by the names that the user gave them."""

    def __init__(self, blocks: Iterable[Block], names: Sequence[str]) -> None:
        self._waiting = [_Todo(block) for block in blocks]
        self._machines = {name: _Machine() for name in names}
        self._given_up: dict[Case, str] = {}

    def finished_before(self, identities: Mapping[Case, str]) -> None:
        """Note the cells that an earlier sweep finished, with their machines. A pair from two
        machines is measured again."""
        for todo in list(self._waiting):
            there = {c: identities[c] for c in todo.block.cases if c in identities}
            if not there:
                continue
            first, *others = set(there.values())
            todo.home, todo.done = None if others else first, set(there)
            if todo.whole() and not others:
                self._waiting.remove(todo)

    def joined(self, name: str, identity: str) -> None:
        """A machine is connected and free."""
        self._machines[name].identity = identity

    def next_for(self, name: str) -> Task | None:
        """The next task of this free machine; None: no task yet."""
        machine = self._machines[name]
        todo = self._choose(name, machine)
        if todo is None:
            return None
        self._waiting.remove(todo)
        machine.task = todo
        repeated: tuple[Case, ...] = ()
        if todo.home != machine.identity:
            repeated = tuple(case for case in todo.block.cases if case in todo.done)
            todo.done.clear()
        todo.home = machine.identity
        left = tuple(case for case in todo.block.cases if case not in todo.done)
        return Task(todo.block, left, repeated)

    def cell_ended(self, name: str, case: Case) -> None:
        """A cell of the machine's task has ended, and its files are here."""
        machine = self._machines[name]
        machine.failures = 0
        assert machine.task is not None
        machine.task.done.add(case)

    def block_ended(self, name: str) -> None:
        """The machine has run all of its task."""
        self._machines[name].task = None

    def failed(self, name: str, why: str) -> bool:
        """The machine or its connection has failed, and its block waits again. Returns whether
        to try the machine again."""
        machine = self._machines[name]
        machine.failures += 1
        if (todo := machine.task) is not None:
            machine.task = None
            self._put_back(todo, name, why)
        if machine.failures >= MAX_FAILURES:
            self.leave_out(name, why)
        return machine.left_out is None

    def leave_out(self, name: str, why: str) -> None:
        """Leave out this machine. Without any machine, all waiting blocks are given up."""
        self._machines[name].left_out = why
        if any(m.left_out is None for m in self._machines.values()):
            return
        for todo in self._waiting:
            reasons = todo.reasons or [f"no machine is left: {name}: {why}"]
            self._give_up(todo, reasons)
        self._waiting.clear()

    def left_out(self) -> dict[str, str]:
        """The machines that are left out, with reasons."""
        return {n: m.left_out for n, m in self._machines.items() if m.left_out}

    def given_up(self) -> dict[Case, str]:
        """The cells that no machine could run, with reasons."""
        return dict(self._given_up)

    def all_ended(self) -> bool:
        """Whether nothing is left to do."""
        running = any(m.task is not None for m in self._machines.values())
        return not self._waiting and not running

    def _choose(self, name: str, machine: _Machine) -> _Todo | None:
        usable = {n: m for n, m in self._machines.items() if m.left_out is None}
        others = {m.identity for m in usable.values() if m is not machine}

        def rank(todo: _Todo) -> int | None:
            if todo.home is not None and todo.home == machine.identity:
                return 0
            if todo.home is not None and todo.home in others:
                return None  # it is for that one
            if name in todo.failed_at and not todo.failed_at.issuperset(usable):
                return None  # another is to try it first
            return 1

        ranked = [
            (r, i) for i, t in enumerate(self._waiting) if (r := rank(t)) is not None
        ]
        return self._waiting[min(ranked)[1]] if ranked else None

    def _put_back(self, todo: _Todo, name: str, why: str) -> None:
        todo.tries += 1
        todo.failed_at.add(name)
        todo.reasons.append(f"{name}: {why}")
        if todo.whole():
            return
        if not todo.done:
            todo.home = None
        if todo.tries >= MAX_TRIES:
            self._give_up(todo, todo.reasons)
        else:
            self._waiting.insert(0, todo)

    def _give_up(self, todo: _Todo, reasons: Sequence[str]) -> None:
        for case in todo.block.cases:
            if case not in todo.done:
                self._given_up[case] = "; ".join(reasons)
