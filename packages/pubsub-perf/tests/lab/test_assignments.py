"""Which machine runs which block, when machines fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.lab.assignments import MAX_TRIES, Assignments, Task
from pubsub_perf.plan import topologies
from pubsub_perf.plan.blocks import blocks_of
from pubsub_perf.plan.cases import MODELS, Case, Load, cases


def _cases(networks: int = 2, repeats: int = 1) -> list[Case]:
    there = [topologies.single_switch(hosts) for hosts in range(4, 4 + networks)]
    return cases(MODELS, there, Load(), repeats)


def _of(names: str = "ab", networks: int = 2) -> Assignments:
    found = Assignments(blocks_of(_cases(networks)), list(names))
    for name in names:
        found.joined(name, name.upper())
    return found


def _task(assignments: Assignments, name: str) -> Task:
    task = assignments.next_for(name)
    assert task is not None
    return task


def _end(assignments: Assignments, name: str, task: Task) -> None:
    for case in task.cases:
        assignments.cell_ended(name, case)
    assignments.block_ended(name)


def test_free_machines_take_the_next_block_in_order() -> None:
    assignments = _of(networks=3)
    first, second = _task(assignments, "b"), _task(assignments, "a")
    _end(assignments, "b", first)
    third = _task(assignments, "b")
    taken = [each.block for each in (first, second, third)]
    assert taken == blocks_of(_cases(3))
    assert assignments.next_for("b") is None


def test_a_block_is_both_models_and_goes_to_one_machine() -> None:
    task = _task(_of(), "a")
    assert [case.model for case in task.cases] == list(MODELS)


def test_the_block_of_a_failed_machine_goes_to_another() -> None:
    assignments = _of(networks=1)
    lost = _task(assignments, "a")
    assert assignments.next_for("b") is None
    assert assignments.failed("a", "gone")
    assert assignments.next_for("a") is None, "another is to try it first"
    assert _task(assignments, "b").cases == lost.cases


def test_what_is_left_of_a_begun_block_waits_for_its_machine() -> None:
    assignments = _of(networks=1)
    first, second = _task(assignments, "a").cases
    assignments.cell_ended("a", first)
    assert assignments.failed("a", "worker killed")
    assert assignments.next_for("b") is None
    assignments.joined("a", "A")
    assert _task(assignments, "a").cases == (second,)


def test_where_its_machine_is_left_out_another_runs_the_block_anew() -> None:
    assignments = _of(networks=1)
    first, second = _task(assignments, "a").cases
    assignments.cell_ended("a", first)
    assignments.failed("a", "link cut")
    assert not assignments.failed("a", "still cut")
    assert assignments.left_out() == {"a": "still cut"}
    task = _task(assignments, "b")
    assert (task.cases, task.repeated) == ((first, second), (first,))


def test_a_machine_that_ended_a_cell_in_between_is_not_left_out() -> None:
    assignments = _of("a", networks=2)
    for _ in range(2):
        task = _task(assignments, "a")
        assignments.cell_ended("a", task.cases[0])
        assert assignments.failed("a", "once")


def test_a_block_is_given_up_after_so_many_tries() -> None:
    assignments = _of("abc", networks=1)
    for name in "abc":
        task = _task(assignments, name)
        assignments.failed(name, f"out of memory at {name}")
    assert MAX_TRIES == 3
    assert assignments.all_ended()
    given_up = assignments.given_up()
    assert set(given_up) == set(task.cases)
    assert "a: out of memory at a; b: out of memory at b" in given_up[task.cases[0]]


def test_with_the_last_machine_all_that_waits_is_given_up() -> None:
    assignments = _of("a", networks=2)
    _task(assignments, "a")
    assignments.failed("a", "off")
    assignments.failed("a", "off")
    assert assignments.all_ended()
    assert len(assignments.given_up()) == 4


def test_a_pair_of_two_machines_is_measured_anew() -> None:
    assignments = _of("a", networks=1)
    first, second = _cases(1)
    assignments.finished_before({first: "A", second: "Z"})
    assert _task(assignments, "a").repeated == (first, second)


def test_finished_blocks_are_not_run_again() -> None:
    assignments = _of("a")
    first, second, *_ = _cases()
    assignments.finished_before({first: "Z", second: "Z"})
    _end(assignments, "a", _task(assignments, "a"))
    assert assignments.all_ended()


def test_half_a_block_of_a_machine_that_is_not_here_is_measured_anew() -> None:
    assignments = _of("a", networks=1)
    first, second = _cases(1)
    assignments.finished_before({first: "Z"})
    task = _task(assignments, "a")
    assert (task.cases, task.repeated) == ((first, second), (first,))


@given(st.lists(st.sampled_from(["cell", "fail", "end"]), max_size=60), st.data())
def test_whatever_fails_every_pair_is_of_one_machine(
    turns: list[str], data: st.DataObject
) -> None:
    names = ["a", "b", "c"]
    assignments = Assignments(blocks_of(_cases(3)), names)
    running: dict[str, list[Case]] = {}
    measured: dict[Case, str] = {}
    out: set[str] = set()

    def turn(name: str, what: str) -> None:
        assignments.joined(name, name)
        if name not in running:
            task = assignments.next_for(name)
            if task is None:
                return
            for case in task.repeated:
                del measured[case]
            running[name] = list(task.cases)
        if what == "fail":
            running.pop(name)
            if not assignments.failed(name, "why"):
                out.add(name)
            return
        case = running[name].pop(0)
        measured[case] = name
        assignments.cell_ended(name, case)
        if not running[name]:
            running.pop(name)
            assignments.block_ended(name)

    for what in turns:
        usable = [name for name in names if name not in out]
        if usable:
            turn(data.draw(st.sampled_from(usable)), what)
    for _ in range(100):
        for name in names:
            if name not in out:
                turn(name, "cell")
    assert assignments.all_ended()
    given_up = assignments.given_up()
    for block in blocks_of(_cases(3)):
        at = {measured.get(case) for case in block.cases if case not in given_up}
        assert len(at) <= 1
        assert None not in at
